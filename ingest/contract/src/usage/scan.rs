//! JSON as our own writers write it: fields in one order, no space, no escape, whole numbers. All else is `None`.

pub(super) struct Scan<'a>(&'a str);

/// Of a number: so it fits, and is over 2^53, which I-JSON ends at.
const MAX_DIGITS: usize = 18;

impl<'a> Scan<'a> {
    pub(super) fn new(json: &'a [u8]) -> Option<Self> {
        std::str::from_utf8(json).ok().map(Self)
    }

    /// Just this. Inlined, the comparison is one of a length that is known.
    #[inline]
    pub(super) fn word(&mut self, word: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(word)?;
        Some(())
    }

    /// What stands between two quotes.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        self.word("\"")?;
        let end = self.0.bytes().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'))?;
        let (text, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }

    /// A field of text, if it is there. One of something else is left half read, so that nothing fits what follows.
    pub(super) fn optional(&mut self, field: &str) -> Option<&'a str> {
        self.word(field).and_then(|()| self.text())
    }

    /// Source: RFC 8259, section 6: no zero leads, no plus.
    pub(super) fn integer(&mut self) -> Option<i64> {
        let negative = self.word("-").is_some();
        let (mut number, mut digits) = (0_i64, 0);
        while let Some(digit) = self.0.as_bytes().get(digits).map(|byte| byte.wrapping_sub(b'0')).filter(|d| *d < 10) {
            if digits == MAX_DIGITS {
                return None;
            }
            number = number * 10 + i64::from(digit);
            digits += 1;
        }
        if digits == 0 || digits > 1 && self.0.starts_with('0') {
            return None;
        }
        self.0 = &self.0[digits..];
        Some(if negative { -number } else { number })
    }

    pub(super) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_of_json() {
        for (json, number, rest) in [
            ("0,", Some(0), ","),
            ("-7}", Some(-7), "}"),
            ("999999999999999999", Some(999_999_999_999_999_999), ""),
            ("1.5", Some(1), ".5"),
            ("1e3", Some(1), "e3"),
            ("1000000000000000000", None, ""),
            ("01", None, ""),
            ("-01", None, ""),
            ("-", None, ""),
            ("+1", None, ""),
            ("", None, ""),
        ] {
            let mut scan = Scan(json);
            assert_eq!(scan.integer(), number, "{json}");
            assert!(number.is_none() || scan.0 == rest, "{json}: {} is left", scan.0);
        }
    }

    #[test]
    fn a_text_has_no_escape() {
        for (json, text) in [
            ("\"\"", Some("")),
            ("\"é\"", Some("é")),
            ("\"a\\n\"", None),
            ("\"a\n\"", None),
            ("\"a", None),
            ("a\"", None),
        ] {
            assert_eq!(Scan(json).text(), text, "{json}");
        }
    }
}
