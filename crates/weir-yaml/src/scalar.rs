//! Plain scalars: what Psych reads them as. Source: Psych's `scalar_scanner.rb`.

use crate::{ErrorKind, Value};

/// Longest plain scalar that can be a number; longer ones are texts, so that the work is bounded.
const MAX_NUMBER_BYTES: usize = 1_024;

/// What an unquoted, untagged scalar is.
pub(crate) fn resolve(text: &str) -> Result<Value, ErrorKind> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    if starts_like_a_word(text) || text.contains('\n') {
        return Ok(word(text));
    }
    if is_time(text) {
        return Err(ErrorKind::UnspecifiedClass("Time".into()));
    }
    if is_date(text) {
        return Err(ErrorKind::UnspecifiedClass("Date".into()));
    }
    if text.eq_ignore_ascii_case(".inf") || text.eq_ignore_ascii_case("+.inf") {
        return Ok(Value::Float(f64::INFINITY));
    }
    if text.eq_ignore_ascii_case("-.inf") {
        return Ok(Value::Float(f64::NEG_INFINITY));
    }
    if text.eq_ignore_ascii_case(".nan") {
        return Ok(Value::Float(f64::NAN));
    }
    if let Some(name) = text.strip_prefix(':')
        && !name.is_empty()
    {
        return Ok(Value::Symbol(symbol_name(name)));
    }
    if text.len() > MAX_NUMBER_BYTES {
        return Ok(Value::String(text.to_owned()));
    }
    if let Some(number) = base_60(text).or_else(|| float(text)) {
        return Ok(number);
    }
    integer(text).unwrap_or_else(|| Ok(Value::String(text.to_owned())))
}

/// Psych's quick test for texts: one character that no number starts with, then a letter or one of a few
/// signs.
fn starts_like_a_word(text: &str) -> bool {
    let wordy = |c: char| c.is_alphabetic() || c.is_whitespace() || "_!@#$%^&*(){}<>|/\\~;=".contains(c);
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return false };
    wordy(first)
        || (!first.is_ascii_digit() && !".:-".contains(first) && characters.next().is_some_and(wordy))
}

fn word(text: &str) -> Value {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "~" | "null" => Value::Null,
        "yes" | "true" | "on" => Value::Bool(true),
        "no" | "false" | "off" => Value::Bool(false),
        _ => Value::String(text.to_owned()),
    }
}

fn symbol_name(name: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = name.strip_prefix(quote)
            && let Some(end) = inner.rfind(quote)
        {
            let inner = &inner[..end];
            return inner.strip_prefix(':').unwrap_or(inner).to_owned();
        }
    }
    name.to_owned()
}

/// Takes between `min` and `max` digits off the front.
fn digits(text: &str, min: usize, max: usize) -> Option<&str> {
    let count = text.bytes().take(max).take_while(u8::is_ascii_digit).count();
    (count >= min).then(|| &text[count..])
}

/// The form of a date. Psych asks for the class before it looks whether the month has that day.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let number = |text: &str| {
        ((1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| text.parse::<u8>())
    };
    year.len() == 4
        && year.bytes().all(|b| b.is_ascii_digit())
        && matches!(number(month), Some(Ok(0..=12)))
        && matches!(number(day), Some(Ok(0..=31)))
}

fn is_time(text: &str) -> bool {
    fn matches(text: &str) -> Option<()> {
        let text = text.strip_prefix('-').unwrap_or(text);
        let text = digits(text, 4, 4)?.strip_prefix('-')?;
        let text = digits(text, 1, 2)?.strip_prefix('-')?;
        let text = digits(text, 1, 2)?;
        let spaces = text.trim_start();
        let text = if spaces.len() < text.len() { spaces } else { text.strip_prefix(['T', 't'])? };
        let text = digits(text, 1, 2)?.strip_prefix(':')?;
        let text = digits(text, 2, 2)?.strip_prefix(':')?;
        let text = digits(text, 2, 2)?;
        let text = match text.strip_prefix('.') {
            Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
            None => text,
        };
        let zone = text.trim_start();
        if text.is_empty() || zone.is_empty() || zone == "Z" {
            return Some(());
        }
        let zone = digits(zone.strip_prefix(['+', '-'])?, 1, 2)?;
        let zone = zone.strip_prefix(':').unwrap_or(zone);
        (zone.is_empty() || digits(zone, 2, 2) == Some("")).then_some(())
    }
    matches(text).is_some()
}

/// `12:30` and `1:30:00`, with Psych's weights: the first part counts 60² even where there are two.
fn base_60(text: &str) -> Option<Value> {
    let (number, fraction) = match text.split_once('.') {
        Some((number, fraction)) if fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_') => {
            (number, Some(fraction))
        }
        Some(_) => return None,
        None => (text, None),
    };
    let parts: Vec<&str> = number.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    let head = parts[0].strip_prefix(['+', '-']).unwrap_or(parts[0]);
    if !head.starts_with(|c: char| c.is_ascii_digit())
        || !head.bytes().all(|b| b.is_ascii_digit() || b == b'_')
    {
        return None;
    }
    let minutes = |part: &str| match part.as_bytes() {
        [digit] => digit.is_ascii_digit(),
        [ten, digit] => (b'0'..=b'5').contains(ten) && digit.is_ascii_digit(),
        _ => false,
    };
    if !parts[1..].iter().all(|part| minutes(part)) {
        return None;
    }
    let weight = |index: usize| 60_i64.pow(u32::try_from(index.abs_diff(2)).unwrap_or(0));
    if let Some(fraction) = fraction {
        let mut sum = 0.0;
        for (index, part) in parts.iter().enumerate() {
            let mut part = lenient_digits(part);
            if index + 1 == parts.len() {
                part = format!("{part}.{}0", lenient_digits(fraction));
            }
            #[expect(clippy::cast_precision_loss, reason = "a weight is at most 3600")]
            let weight = weight(index) as f64;
            sum += part.parse::<f64>().ok()? * weight;
        }
        return Some(Value::Float(sum));
    }
    let mut sum = 0_i64;
    for (index, part) in parts.iter().enumerate() {
        let number: i64 = lenient_digits(part).parse().ok()?;
        sum = sum.checked_add(number.checked_mul(weight(index))?)?;
    }
    Some(Value::Int(sum))
}

/// The digits that Ruby's `to_i` reads: single underscores between digits are skipped, two of them end it.
fn lenient_digits(text: &str) -> String {
    let mut result = String::new();
    let mut previous_underscore = false;
    for c in text.chars() {
        if c == '_' {
            if previous_underscore {
                break;
            }
            previous_underscore = true;
        } else {
            previous_underscore = false;
            result.push(c);
        }
    }
    result
}

fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, rest) = unsigned.split_once('.')?;
    let whole_is_number = whole.is_empty()
        || (whole.starts_with(|c: char| c.is_ascii_digit())
            && whole.bytes().all(|b| b.is_ascii_digit() || b == b'_' || b == b','));
    if !whole_is_number {
        return None;
    }
    let fraction = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    if !fraction.is_empty() {
        let exponent = fraction.strip_prefix(['e', 'E'])?.strip_prefix(['+', '-'])?;
        if exponent.is_empty() || !exponent.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
    }
    if unsigned == "." {
        return None;
    }
    let plain: String = text.chars().filter(|c| !",_".contains(*c)).collect();
    plain.parse().ok().map(Value::Float)
}

/// A number, or an error for a base without digits; none if it does not look like a number.
fn integer(text: &str) -> Option<Result<Value, ErrorKind>> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let all = |text: &str, allowed: fn(&u8) -> bool| {
        !text.is_empty() && text.bytes().all(|b| allowed(&b) || b == b'_' || b == b',')
    };
    let (radix, digits) = if let Some(rest) = unsigned.strip_prefix("0b") {
        (2, all(rest, |b| matches!(b, b'0' | b'1')).then_some(rest)?)
    } else if let Some(rest) = unsigned.strip_prefix("0x") {
        (16, all(rest, u8::is_ascii_hexdigit).then_some(rest)?)
    } else if unsigned == "0" {
        return Some(Ok(Value::Int(0)));
    } else if let Some(rest) = unsigned.strip_prefix('0') {
        (8, all(rest, |b| (b'0'..=b'7').contains(b)).then_some(rest)?)
    } else {
        let bytes = unsigned.as_bytes();
        let separated = bytes.windows(2).all(|pair| pair.iter().any(u8::is_ascii_digit))
            && bytes.first().is_some_and(u8::is_ascii_digit)
            && bytes.last().is_some_and(u8::is_ascii_digit);
        (10, (separated && all(unsigned, u8::is_ascii_digit)).then_some(unsigned)?)
    };
    let digits: String = digits.chars().filter(|c| !"_,".contains(*c)).collect();
    if digits.is_empty() {
        // Only separators: Ruby reads `0_` as 0 and refuses `0x_`.
        return Some(if radix == 8 {
            Ok(Value::Int(0))
        } else {
            let text = text.chars().filter(|c| !"_,".contains(*c)).collect();
            Err(ErrorKind::InvalidNumber { class: "Integer", text })
        });
    }
    let sign = if negative { "-" } else { "" };
    Some(Ok(match i64::from_str_radix(&format!("{sign}{digits}"), radix) {
        Ok(value) => Value::Int(value),
        Err(_) => Value::BigInt(format!("{sign}{}", to_decimal(&digits, radix))),
    }))
}

/// The decimal form of digits of another base; lengths are bounded by [`MAX_NUMBER_BYTES`].
fn to_decimal(digits: &str, radix: u32) -> String {
    let mut decimal: Vec<u32> = vec![0];
    for digit in digits.chars().filter_map(|c| c.to_digit(radix)) {
        let mut carry = digit;
        for place in &mut decimal {
            let value = *place * radix + carry;
            *place = value % 10;
            carry = value / 10;
        }
        while carry > 0 {
            decimal.push(carry % 10);
            carry /= 10;
        }
    }
    let text: String = decimal.iter().rev().filter_map(|digit| char::from_digit(*digit, 10)).collect();
    let trimmed = text.trim_start_matches('0');
    if trimmed.is_empty() { "0".to_owned() } else { trimmed.to_owned() }
}

/// A float as Ruby's `to_s` prints it.
pub(crate) fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = if mantissa.contains('.') { mantissa.to_owned() } else { format!("{mantissa}.0") };
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{mantissa}e{sign}{exponent:0>2}");
    }
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_read_as_psych_reads_them() {
        use Value::{Bool, Float, Int, Null};
        let text = |text: &str| Value::String(text.into());
        for (written, expected) in [
            ("", Null),
            ("~", Null),
            ("NULL", Null),
            ("yes", Bool(true)),
            ("On", Bool(true)),
            ("oFF", Bool(false)),
            ("y", text("y")),
            ("n", text("n")),
            ("010", Int(8)),
            ("0777", Int(511)),
            ("0x1F", Int(31)),
            ("0b11", Int(3)),
            ("1_000", Int(1000)),
            ("1,000", Int(1000)),
            ("+1", Int(1)),
            ("-0x1", Int(-1)),
            ("0", Int(0)),
            ("08", text("08")),
            ("0888", text("0888")),
            ("0o10", text("0o10")),
            ("0b2", text("0b2")),
            ("1__0", text("1__0")),
            ("1_", text("1_")),
            ("12:30", Int(45000)),
            ("12:30:45", Int(45045)),
            ("1:30", Int(5400)),
            ("1:60", text("1:60")),
            ("1.10", Float(1.1)),
            ("1.", Float(1.0)),
            (".5", Float(0.5)),
            ("1_0.5", Float(10.5)),
            ("1.0e+3", Float(1000.0)),
            ("1e3", text("1e3")),
            ("1e+3", text("1e+3")),
            ("1.0e3", text("1.0e3")),
            ("1.2.3", text("1.2.3")),
            ("1.25.0-alpine", text("1.25.0-alpine")),
            (".inf", Float(f64::INFINITY)),
            (":foo", Value::Symbol("foo".into())),
            (":\"a b\"", Value::Symbol("a b".into())),
            (":", text(":")),
            (".", text(".")),
            ("-", text("-")),
            ("99999999999999999999", Value::BigInt("99999999999999999999".into())),
            ("0xFFFFFFFFFFFFFFFFFF", Value::BigInt("4722366482869645213695".into())),
        ] {
            assert_eq!(resolve(written), Ok(expected), "{written:?}");
        }
    }

    #[test]
    fn dates_and_times_are_refused() {
        for (written, class) in [
            ("2024-01-01", "Date"),
            ("2024-1-1", "Date"),
            ("2001-12-14t21:59:43.10-05:00", "Time"),
            ("2001-12-15 2:59:43", "Time"),
        ] {
            assert_eq!(resolve(written), Err(ErrorKind::UnspecifiedClass(class.into())), "{written:?}");
        }
        for written in ["2024-13-01", "24-01-01", "2024-01-01-x", "2001-12-15 2:59"] {
            assert_eq!(resolve(written), Ok(Value::String(written.into())), "{written:?}");
        }
    }

    #[test]
    fn floats_print_as_ruby_prints_them() {
        for (value, text) in [
            (1.0, "1.0"),
            (1.1, "1.1"),
            (0.0001, "0.0001"),
            (0.00001, "1.0e-05"),
            (1e16, "1.0e+16"),
            (1.5e20, "1.5e+20"),
            (123_456_789.125, "123456789.125"),
            (f64::INFINITY, "Infinity"),
        ] {
            assert_eq!(float_text(value), text);
        }
    }
}
