//! One line per column: a name, and how a row gives its value. A quarantined row gives none.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryBuilder, Int32Array, Int64Array, StringArray, TimestampMillisecondArray};
use contract::BrokerTime;

pub(crate) type Column = (&'static str, ArrayRef);

/// The rows of one type, `None` where the record could not be read.
pub(crate) struct Values<'a, T>(pub(crate) &'a [Option<T>]);

impl<'a, T> Values<'a, T> {
    fn each<V>(&self, get: impl Fn(&'a T) -> Option<V>) -> impl Iterator<Item = Option<V>> {
        self.0.iter().map(move |row| row.as_ref().and_then(&get))
    }

    pub(crate) fn text<S: AsRef<str>>(&self, name: &'static str, get: impl Fn(&'a T) -> Option<S>) -> Column {
        (name, Arc::new(self.each(get).collect::<StringArray>()))
    }

    pub(crate) fn int32(&self, name: &'static str, get: impl Fn(&'a T) -> Option<i32>) -> Column {
        (name, Arc::new(self.each(get).collect::<Int32Array>()))
    }

    pub(crate) fn int64(&self, name: &'static str, get: impl Fn(&'a T) -> Option<i64>) -> Column {
        (name, Arc::new(self.each(get).collect::<Int64Array>()))
    }

    pub(crate) fn time(&self, name: &'static str, get: impl Fn(&'a T) -> Option<BrokerTime>) -> Column {
        (name, times(self.each(get)))
    }

    pub(crate) fn bytes<const N: usize>(
        &self,
        name: &'static str,
        get: impl Fn(&'a T) -> Option<&'a [u8; N]>,
    ) -> Column {
        (name, fixed(self.each(get)))
    }
}

/// UTC timestamps in milliseconds.
pub(crate) fn times(values: impl Iterator<Item = Option<BrokerTime>>) -> ArrayRef {
    let millis: TimestampMillisecondArray = values.map(|time| time.map(BrokerTime::as_millis)).collect();
    Arc::new(millis.with_timezone("UTC"))
}

/// Values of `N` bytes.
pub(crate) fn fixed<'a, const N: usize>(values: impl Iterator<Item = Option<&'a [u8; N]>>) -> ArrayRef {
    let width = i32::try_from(N).unwrap_or(i32::MAX);
    let mut builder = FixedSizeBinaryBuilder::new(width);
    for value in values {
        // The width is the builder's own, so appending cannot fail; were it to, the row count would tell.
        match value {
            Some(bytes) => drop(builder.append_value(bytes)),
            None => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}
