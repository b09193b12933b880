//! How the columns are encoded: as what is decoded fastest among what takes little room.
//!
//! | values | | |
//! |---|---|---|
//! | ids, fingerprints | random | PLAIN, not compressed: nothing would get smaller |
//! | offsets, times | they grow | delta, zstd |
//! | quantities | close to random | delta, which cuts off leading zeros; not compressed |
//! | words, customers, small numbers | they repeat | dictionary, zstd |

use arrow::datatypes::{DataType, Schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

/// A dictionary of all customers of a large segment, where the usual limit would end it half-way.
const CUSTOMERS_BYTES: usize = 8 << 20;
/// Values handed to an encoder at once.
const BATCH: usize = 8192;

pub(crate) fn properties(schema: &Schema, key: &str, footer: String) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_write_batch_size(BATCH)
        .set_created_by("pixtoll".to_owned())
        .set_key_value_metadata(Some(vec![KeyValue::new(key.to_owned(), footer)]));
    for field in schema.fields() {
        let column = || ColumnPath::from(field.name().as_str());
        properties = match field.data_type() {
            DataType::FixedSizeBinary(16) => properties
                .set_column_encoding(column(), Encoding::PLAIN)
                .set_column_dictionary_enabled(column(), false)
                .set_column_compression(column(), Compression::UNCOMPRESSED),
            DataType::Int64 | DataType::Timestamp(..) => {
                let delta = properties
                    .set_column_encoding(column(), Encoding::DELTA_BINARY_PACKED)
                    .set_column_dictionary_enabled(column(), false);
                if is_quantity(field.name()) {
                    delta.set_column_compression(column(), Compression::UNCOMPRESSED)
                } else {
                    delta
                }
            }
            _ if field.name() == "customer_id" => {
                properties.set_column_dictionary_page_size_limit(column(), CUSTOMERS_BYTES)
            }
            _ => properties,
        };
    }
    Ok(properties.build())
}

fn is_quantity(name: &str) -> bool {
    ["_bytes", "_pixels", "_micros"].iter().any(|unit| name.ends_with(unit))
}
