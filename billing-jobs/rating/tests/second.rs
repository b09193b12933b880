//! BILL-3's other half: 1,000 random price books and usages, billed by the crate and by `second.py`, which shares no code
//! with it. They agree on every line, to the cent, and on the residue.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use rating::{Bill, Decimal, Ledger, MonthUsage, Outcome, PriceBook, Quantities, Quantity, UsageGroup};
use serde_json::{Value, json};

const CASES: u32 = 1_000;
const METERS: [&str; 6] =
    ["conversions", "cpu_seconds", "input_megabytes", "output_megabytes", "input_megapixels", "output_megapixels"];
const REGIONS: [&str; 3] = ["eu", "us", "ap"];
const OPERATIONS: [&str; 2] = ["resize", "crop"];
const FORMATS: [&str; 4] = ["jpeg", "png", "webp", "avif"];

/// `SplitMix64`: the same cases on every machine.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()]
    }
    /// Often ends half way between two cents.
    fn price(&mut self) -> String {
        match self.below(3) {
            0 => format!("0.{:04}", self.below(400) * 25),
            1 => format!("{}.{:012}", self.below(3), self.below(1_000_000_000_000)),
            _ => self.below(4).to_string(),
        }
    }
    /// In display units, whole in base units, at least one of these.
    fn quantity(&mut self, meter: &str) -> String {
        match meter {
            "conversions" => (1 + self.below(60)).to_string(),
            _ => format!("0.{:06}", 1 + self.below(999_999)),
        }
    }
}

fn tiers(seeded: &mut Seeded, meter: &str) -> String {
    let mut ends = Vec::new();
    for _ in 0..seeded.below(4) {
        ends.push(seeded.quantity(meter).parse::<Decimal>().map_or(1, |end| base(&end, meter)));
    }
    ends.sort_unstable();
    ends.dedup();
    let mut text = String::from("tiers = [ ");
    for end in ends {
        let end = if meter == "conversions" { end.to_string() } else { format!("0.{end:06}") };
        write!(text, "{{ up_to = \"{end}\", unit_price = \"{}\" }}, ", seeded.price()).unwrap();
    }
    writeln!(text, "{{ unit_price = \"{}\" }} ]", seeded.price()).unwrap();
    text
}

fn base(quantity: &Decimal, meter: &str) -> u64 {
    let text = quantity.to_string();
    match text.split_once('.') {
        _ if meter == "conversions" => text.parse().unwrap(),
        Some((_, fraction)) => format!("{fraction:0<6}").parse().unwrap(),
        None => 1,
    }
}

fn charge(seeded: &mut Seeded, id: &str, meter: &str, filter: &str, taxes: &[&str]) -> String {
    let mut text = format!("[[plans.p.charges]]\nid = \"{id}\"\nmeter = \"{meter}\"\n{filter}");
    match seeded.below(4) {
        0 => write!(text, "model = \"per_unit\"\nunit_price = \"{}\"\n", seeded.price()).unwrap(),
        1 => write!(text, "model = \"graduated\"\n{}", tiers(seeded, meter)).unwrap(),
        2 => write!(text, "model = \"volume\"\n{}", tiers(seeded, meter)).unwrap(),
        _ => {
            let size = seeded.quantity(meter);
            write!(text, "model = \"package\"\nsize = \"{size}\"\nprice = \"{}\"\n", seeded.price()).unwrap();
        }
    }
    if seeded.one_in(3) {
        writeln!(text, "discount_percent = \"{}.{:04}\"", seeded.below(100), seeded.below(10_000)).unwrap();
    }
    if !taxes.is_empty() && seeded.one_in(2) {
        writeln!(text, "tax = \"{}\"", seeded.of(taxes)).unwrap();
    }
    text
}

/// A plan of some meters, each shared out by region or output format, or not, and charged on top, or not.
fn book(seeded: &mut Seeded, currency: &str, places: usize) -> (String, Vec<&'static str>) {
    let money = |n: u64| match places {
        0 => n.to_string(),
        _ => format!("{}.{:0>places$}", n / 100, n % 100),
    };
    let head = "version = 1\neffective_from = \"2026-01\"\nrating_version = 1\n";
    let mut text = format!("{head}[plans.p]\ncurrency = \"{currency}\"\n");
    if seeded.one_in(2) {
        writeln!(text, "minimum = \"{}\"", money(seeded.below(20_000))).unwrap();
    }
    let taxes = ["vat", "low", "none"][..usize::try_from(seeded.below(4)).unwrap()].to_vec();
    for tax in &taxes {
        let percent = seeded.of(&["19", "8.875", "7", "0", "33.3333"]);
        write!(text, "[[plans.p.taxes]]\nname = \"{tax}\"\npercent = \"{percent}\"\n").unwrap();
    }
    let mut charges = String::new();
    if seeded.one_in(2) {
        let amount = seeded.price();
        charges = format!("[[plans.p.charges]]\nid = \"flat\"\nmodel = \"flat\"\namount = \"{amount}\"\n");
    }
    for meter in METERS {
        if seeded.one_in(3) {
            continue;
        }
        if seeded.one_in(2) {
            let quantity = seeded.quantity(meter);
            write!(text, "[[plans.p.allowances]]\nmeter = \"{meter}\"\nquantity = \"{quantity}\"\n").unwrap();
        }
        if meter == "cpu_seconds" && seeded.one_in(2) {
            let (micros, operation) = (seeded.below(3_000_000), seeded.of(&OPERATIONS));
            let filter = format!("filter = {{ operation = {{ only = [\"{operation}\"] }} }}");
            write!(text, "[[plans.p.cpu_caps]]\nmicros_per_megapixel = \"{micros}\"\n{filter}\n").unwrap();
        }
        let filters = match seeded.below(3) {
            0 => vec![String::new()],
            1 => ["only", "except"].map(|how| format!("filter = {{ region = {{ {how} = [\"eu\"] }} }}\n")).to_vec(),
            _ => {
                let format = |how| format!("output_format = {{ {how} = [\"webp\", \"avif\"] }}");
                vec![
                    format!("filter = {{ {}, operation = {{ only = [\"crop\"] }} }}\n", format("only")),
                    format!("filter = {{ {}, operation = {{ except = [\"crop\"] }} }}\n", format("only")),
                    format!("filter = {{ {} }}\n", format("except")),
                ]
            }
        };
        for (number, filter) in filters.iter().enumerate() {
            charges += &charge(seeded, &format!("{meter}-{number}"), meter, filter, &taxes);
        }
        if seeded.one_in(3) {
            let filter =
                format!("additive = true\nfilter = {{ input_format = {{ only = [\"{}\"] }} }}\n", seeded.of(&FORMATS));
            charges += &charge(seeded, &format!("{meter}-top"), meter, &filter, &taxes);
        }
    }
    (text + &charges, taxes)
}

fn usage(seeded: &mut Seeded) -> MonthUsage {
    let mut usage = MonthUsage::new("acme".parse().unwrap(), "2026-10".parse().unwrap());
    for _ in 0..seeded.below(7) {
        let format = |seeded: &mut Seeded| (!seeded.one_in(8)).then(|| seeded.of(&FORMATS).parse().unwrap());
        let group = UsageGroup {
            region: seeded.of(&REGIONS).parse().unwrap(),
            operation: seeded.of(&OPERATIONS).parse().unwrap(),
            input_format: format(seeded),
            output_format: format(seeded),
            outcome: if seeded.one_in(5) { Outcome::Rejected } else { Outcome::Done },
        };
        let mut some = |end| Quantity::new(seeded.below(end).into()).unwrap();
        let quantities = Quantities {
            conversions: some(80),
            cpu_micros: some(1_500_000),
            input_bytes: some(1_500_000),
            input_pixels: some(1_500_000),
            output_bytes: some(1_500_000),
            output_pixels: some(1_500_000),
        };
        usage.add(group, &quantities).unwrap();
    }
    usage
}

fn ledger(seeded: &mut Seeded, currency: &str, places: usize, taxes: &[&str]) -> Value {
    let money = |n: u64| match places {
        0 => n.to_string(),
        _ => format!("{}.{:0>places$}", n / 100, n % 100),
    };
    let mut adjustments = Vec::new();
    for key in 0..seeded.below(3) {
        let sign = if seeded.one_in(2) { "-" } else { "" };
        let amount = format!("{sign}{}", money(1 + seeded.below(3_000)));
        let mut adjustment =
            json!({ "key": key.to_string(), "amount": amount, "currency": currency, "reason": "é\n\"" });
        if !taxes.is_empty() && seeded.one_in(2) {
            adjustment["tax"] = json!(seeded.of(taxes));
        }
        adjustments.push(adjustment);
    }
    let mut credits = Vec::new();
    for key in 0..seeded.below(4) {
        let mut credit =
            json!({ "key": key.to_string(), "remaining": money(seeded.below(6_000)), "currency": currency });
        if seeded.one_in(2) {
            credit["expires"] = json!(seeded.of(&["2026-10", "2026-11", "2026-12"]));
        }
        credits.push(credit);
    }
    json!({ "adjustments": adjustments, "credits": credits })
}

/// A bill's money, as `second.py` writes it.
fn money_of(bill: &Bill) -> Value {
    let text = |value: &dyn ToString| json!(value.to_string());
    let line = |line: &rating::Line| {
        let tier = line.tier.as_ref().map(|tier| tier.number);
        json!([line.charge, tier, text(&line.quantity), text(&line.exact), text(&line.amount)])
    };
    let credits = bill.credits.iter().map(|credit| json!([credit.key, text(&credit.used)]));
    let taxes = bill.taxes.iter().map(|tax| json!([tax.name, text(&tax.base), text(&tax.amount)]));
    json!({
        "lines": bill.lines.iter().map(line).collect::<Vec<_>>(),
        "true_up": bill.minimum.as_ref().map_or("0".to_owned(), |minimum| minimum.true_up.to_string()),
        "credits": credits.collect::<Vec<_>>(),
        "taxes": taxes.collect::<Vec<_>>(),
        "total": text(&bill.total),
        "residue": text(&bill.residue),
    })
}

/// Numbers in one spelling: `1E+2`, `0.10` and `-0.00` are 100, 0.1 and 0.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        Value::String(text) => json!(plain_number(text).unwrap_or_else(|| text.clone())),
        other => other.clone(),
    }
}

fn plain_number(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once('E').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    if whole.is_empty() || !format!("{whole}{fraction}").bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let decimals = i32::try_from(fraction.len()).unwrap() - exponent;
    let mut digits = format!("{whole}{fraction}") + &"0".repeat(usize::try_from(-decimals).unwrap_or(0));
    let decimals = usize::try_from(decimals).unwrap_or(0);
    digits = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    let number = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
    Some(if number == "0" { number } else { format!("{sign}{number}") })
}

#[test]
fn a_second_implementation_agrees_to_the_cent_and_on_the_residue() {
    let mut seeded = Seeded(3);
    let mut cases = String::new();
    let mut ours = Vec::new();
    for _ in 0..CASES {
        let (currency, places) = seeded.of(&[("EUR", 2), ("EUR", 2), ("JPY", 0), ("BHD", 3), ("UYW", 4)]);
        let (book, taxes) = book(&mut seeded, currency, places);
        let (usage, ledger) = (usage(&mut seeded), ledger(&mut seeded, currency, places, &taxes));
        let parsed = PriceBook::parse(&book).unwrap_or_else(|error| panic!("{error}\n{book}"));
        let brought: Ledger = serde_json::from_value(ledger.clone()).unwrap();
        let bill =
            rating::rate_with(&usage, &parsed, &"p".parse().unwrap(), &currency.parse().unwrap(), &brought).unwrap();
        let line = bill.to_json_line().unwrap();
        assert_eq!(line.as_bytes(), contract::canonical::to_canonical_json(&bill).unwrap());
        let case = json!({ "book": book, "plan": "p", "usage": usage, "ledger": ledger });
        writeln!(cases, "{case}").unwrap();
        ours.push((case, money_of(&bill)));
    }

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/second.py");
    let mut python = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("python3 (3.11 or newer) is needed to run {script}: {error}"));
    let mut stdin = python.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || stdin.write_all(cases.as_bytes()));
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{script} failed; it needs Python 3.11 or newer");
    feeding.join().unwrap().unwrap();
    let theirs: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(theirs.len(), ours.len());
    for ((case, ours), theirs) in ours.iter().zip(&theirs) {
        assert_eq!(
            plain(ours),
            plain(theirs),
            "{}\n{}\n{}",
            case["book"].as_str().unwrap(),
            case["usage"],
            case["ledger"]
        );
    }
}
