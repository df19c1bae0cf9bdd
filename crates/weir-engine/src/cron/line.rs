//! The text of a cron line.

use super::{Cron, InvalidCron, WeekDay, Which};

/// What stands for a whole line.
const SHORT: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@noon", "0 12 * * *"),
    ("@hourly", "0 * * * *"),
];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEK_DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// The most days that each month can have.
const LONGEST: [i8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/// The longest line, in bytes.
const MAX_LINE: usize = 255;

/// One of the fields of numbers.
#[derive(Clone, Copy)]
struct Kind {
    min: i8,
    /// The greatest value; a range that goes further begins again.
    max: i8,
    /// Reads one value.
    value: fn(&str) -> Option<i8>,
}

const SIXTY: Kind = Kind { min: 0, max: 59, value: |text| number(text, 0, 59) };
const HOURS: Kind = Kind { min: 0, max: 23, value: |text| number(text, 0, 24) };
const MONTH_DAYS: Kind = Kind { min: 1, max: 31, value: month_day };
const MONTH: Kind =
    Kind { min: 1, max: 12, value: |text| named(text, &MONTHS, 1).or_else(|| number(text, 1, 12)) };

/// Reads a line of five fields, or of six if it begins with seconds.
pub(super) fn parse(text: &str) -> Result<Cron, InvalidCron> {
    let text = text.trim();
    if text.len() > MAX_LINE {
        return Err(InvalidCron);
    }
    let text = SHORT.iter().find(|(short, _)| *short == text).map_or(text, |(_, long)| *long);
    let mut fields: Vec<&str> = text.split([' ', '\t']).filter(|field| !field.is_empty()).collect();
    let seconds = if fields.len() == 6 { fields.remove(0) } else { "0" };
    let [minutes, hours, month_days, months, week_days] = fields[..] else { return Err(InvalidCron) };
    let (month_days, both) = without_and(month_days);
    let (week_days, both_too) = without_and(week_days);
    let mut cron = Cron {
        seconds: values(seconds, SIXTY)?,
        minutes: values(minutes, SIXTY)?,
        hours: values(hours, HOURS)?.map(|hours| sorted(hours.into_iter().map(|hour| hour % 24).collect())),
        month_days: values(month_days, MONTH_DAYS)?,
        months: values(months, MONTH)?,
        week_days: week_days_of(week_days)?,
        both_days: both || both_too,
    };
    drop_impossible_days(&mut cron).ok_or(InvalidCron)?;
    Ok(cron)
}

fn without_and(field: &str) -> (&str, bool) {
    field.strip_suffix('&').map_or((field, false), |field| (field, true))
}

/// Months in which none of the days can be, and days that none of the months has, do not count; none if nothing is
/// left.
fn drop_impossible_days(cron: &mut Cron) -> Option<()> {
    let (Some(months), Some(days)) = (&mut cron.months, &mut cron.month_days) else { return Some(()) };
    let fits = |month: i8, day: i8| {
        LONGEST.get(usize::from(month.unsigned_abs()) - 1).is_some_and(|max| day <= *max)
    };
    let all = days.clone();
    days.retain(|day| months.iter().any(|month| fits(*month, *day)));
    months.retain(|month| all.iter().any(|day| fits(*month, *day)));
    (!months.is_empty() && !days.is_empty()).then_some(())
}

fn sorted(mut values: Vec<i8>) -> Vec<i8> {
    values.sort_unstable();
    values.dedup();
    values
}

/// One or two digits in a range.
fn number(text: &str, min: i8, max: i8) -> Option<i8> {
    let digits = text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|value| digits && (min..=max).contains(value))
}

fn named(text: &str, names: &[&str], first: i8) -> Option<i8> {
    let at = names.iter().position(|name| name.eq_ignore_ascii_case(text))?;
    Some(first + i8::try_from(at).ok()?)
}

fn is_last(text: &str) -> bool {
    text.eq_ignore_ascii_case("l") || text.eq_ignore_ascii_case("last")
}

fn month_day(text: &str) -> Option<i8> {
    if is_last(text) {
        return Some(-1);
    }
    match text.strip_prefix('-') {
        Some(digits) => Some(-number(digits, 1, 31)?),
        None => number(text, 1, 31),
    }
}

fn week_day(text: &str) -> Option<i8> {
    named(text, &WEEK_DAYS, 0).or_else(|| number(text, 0, 7).filter(|_| text.len() == 1))
}

/// The parts of an element: `first-last/step`, each of which may be missing.
struct Element {
    first: Option<i8>,
    last: Option<i8>,
    step: Option<u8>,
}

fn element(text: &str, value: fn(&str) -> Option<i8>) -> Option<Element> {
    let (range, step) = match text.split_once('/') {
        Some((range, step)) => (range, Some(number(step, 0, 99).and_then(|step| u8::try_from(step).ok())?)),
        None => (text, None),
    };
    if range == "*" || (range.is_empty() && step.is_some()) {
        return Some(Element { first: None, last: None, step });
    }
    // A day of the month may have a sign of its own.
    let hyphen = range.char_indices().skip(1).find(|(_, letter)| *letter == '-').map(|(at, _)| at);
    let (first, last) = match hyphen {
        Some(at) => (value(&range[..at])?, Some(value(&range[at + 1..])?)),
        None => (value(range)?, None),
    };
    Some(Element { first: Some(first), last, step })
}

/// The elements of a field. Commas too many do no harm.
fn elements(field: &str) -> Option<impl Iterator<Item = &str>> {
    let elements = || field.split(',').filter(|element| !element.is_empty());
    elements().next()?;
    Some(elements())
}

/// The values of a field, none for any.
fn values(field: &str, kind: Kind) -> Result<Option<Vec<i8>>, InvalidCron> {
    let (mut all, mut any) = (Vec::new(), false);
    for text in elements(field).ok_or(InvalidCron)? {
        match expanded(&element(text, kind.value).ok_or(InvalidCron)?, kind)? {
            Some(values) => all.extend(values),
            None => any = true,
        }
    }
    Ok((!any).then(|| sorted(all)))
}

fn expanded(element: &Element, kind: Kind) -> Result<Option<Vec<i8>>, InvalidCron> {
    let Element { first, last, step } = *element;
    match (first, last, step) {
        (_, _, Some(0)) => return Err(InvalidCron),
        (None, None, None) => return Ok(None),
        (Some(first), None, None) => return Ok(Some(vec![first])),
        _ => {}
    }
    let (first, step) = (first.unwrap_or(kind.min), step.unwrap_or(1));
    let last = last.filter(|last| *last >= 0 || first <= 0).unwrap_or(kind.max);
    if (first, last, step) == (kind.min, kind.max, 1) {
        return Ok(None);
    }
    if first < 0 && last > 0 {
        return Err(InvalidCron);
    }
    let (min, max) = if first < 0 { (-kind.max, -1) } else { (kind.min, kind.max) };
    let mut range = vec![first];
    let (mut at, mut last) = (first, last);
    while at != last {
        at += 1;
        if at > max {
            at = min;
            if last > max {
                last = last - max - 1;
            }
        }
        range.push(at);
        if range.len() > 2 * usize::from(kind.max.unsigned_abs()) {
            return Err(InvalidCron);
        }
    }
    Ok(Some(range.into_iter().step_by(usize::from(step)).collect()))
}

/// The days of the week, none for any.
fn week_days_of(field: &str) -> Result<Option<Vec<WeekDay>>, InvalidCron> {
    let mut all: Vec<WeekDay> = Vec::new();
    let mut add = |day: i8, which| {
        let new = WeekDay { day: day % 7, which };
        if !all.contains(&new) {
            all.push(new);
        }
    };
    for text in elements(field).ok_or(InvalidCron)? {
        if let Some((day, number)) = text.split_once('#') {
            let number = in_month(number).ok_or(InvalidCron)?;
            add(week_day(day).ok_or(InvalidCron)?, Which::InMonth(number));
        } else if let Some((day, weeks)) = text.split_once('%') {
            let (every, offset) = weeks.split_once('+').unwrap_or((weeks, "0"));
            let every = whole(every).filter(|every| *every > 0).ok_or(InvalidCron)?;
            let offset = whole(offset).ok_or(InvalidCron)?;
            add(week_day(day).ok_or(InvalidCron)?, Which::Weeks { every, offset });
        } else {
            let Element { first, last, step } = element(text, week_day).ok_or(InvalidCron)?;
            let (first, last) = match (first, last, step) {
                (None, None, None) => continue,
                (None, last, _) => (0, last.unwrap_or(6)),
                (Some(first), last, _) => (first, last.unwrap_or(first)),
            };
            let last = if first > last { last + 7 } else { last };
            for day in (first..=last).step_by(usize::from(step.unwrap_or(1).max(1))) {
                add(day, Which::All);
            }
        }
    }
    Ok((!all.is_empty()).then_some(all))
}

fn in_month(text: &str) -> Option<i8> {
    if is_last(text) {
        return Some(-1);
    }
    let (digits, sign) = text.strip_prefix('-').map_or((text, 1), |digits| (digits, -1));
    Some(sign * number(digits, 1, 5).filter(|_| digits.len() == 1)?)
}

fn whole(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<u32>().ok().filter(|_| digits).map(i64::from)
}
