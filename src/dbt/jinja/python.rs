//! What Python and its Jinja do, and the library does otherwise or not at all.

use minijinja::{
    Error as JinjaError, ErrorKind, State, Value as Jinja, filters,
    value::{Kwargs, Rest, ValueKind, ValueOrKwargs},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The maximum length of a template in bytes: the renderer counts the columns of a line in 16 bits.
pub(super) const MAX_LENGTH: usize = 65_000;

/// The start of errors about values that dbt may render.
pub(super) const NOT_RENDERED: &str = "pgtrickle-ci does not render";

/// A value as Python writes it.
pub(super) fn written(value: &Jinja) -> String {
    match (value.kind(), f64::try_from(value.clone())) {
        (ValueKind::Number, Ok(number)) if !value.is_integer() => python_number(number),
        _ => value.to_string(),
    }
}

/// A number with a fraction as Python writes it: with an exponent if it is very large or very small.
fn python_number(number: f64) -> String {
    let scientific = format!("{number:e}");
    match scientific.split_once('e').map(|(digits, exponent)| (digits, exponent.parse::<i32>())) {
        Some((digits, Ok(exponent))) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        Some(_) if number.fract() == 0.0 => format!("{number:.1}"),
        _ => number.to_string().to_lowercase(),
    }
}

/// What a text is in Python: a number, a truth value or None. Any other text is itself, unless Python might read a text, a list
/// or the like in it.
pub(super) fn literal(text: &str) -> Result<Jinja, JinjaError> {
    let word = text.trim();
    let digits = word.trim_start_matches(['+', '-']);
    let is_number = digits.starts_with(|start: char| start.is_ascii_digit() || start == '.');
    // As `05`.
    let is_refused = |number: &str| {
        let zeros = number.trim_start_matches('0');
        zeros.len() < number.len() && !zeros.is_empty() && zeros.bytes().all(|byte| byte.is_ascii_digit())
    };
    Ok(match word {
        "True" => true.into(),
        "False" => false.into(),
        "None" => ().into(),
        _ if is_quoted_or_list(word) || is_number && word.contains([' ', '#', 'j']) => {
            return Err(failed(format!(
                "{NOT_RENDERED} it: Python may read a list, a number or a text in quotes there; pass a plain value"
            )));
        }
        _ if !is_number || is_refused(digits) => text.into(),
        _ => match (whole(word), word.replace('_', "").parse::<f64>()) {
            (Some(whole), _) => whole.into(),
            (_, Ok(number)) if is_grouped(word) => number.into(),
            _ => text.into(),
        },
    })
}

fn is_quoted_or_list(word: &str) -> bool {
    // As `b"a"`.
    let after_prefix = word.trim_start_matches(['b', 'B', 'r', 'R', 'u', 'U']);
    let starts = after_prefix.starts_with(['"', '\'']) || word.starts_with(['[', '{', '(']);
    starts && word.ends_with(['"', '\'', ']', '}', ')'])
}

/// Whether each underscore is between two digits.
fn is_grouped(number: &str) -> bool {
    number.split('_').all(|part| !part.is_empty())
        && !["_.", "._", "_e", "e_", "_E", "E_", "+_", "-_"].iter().any(|wrong| number.contains(wrong))
}

/// A whole number: decimal, or with a prefix hexadecimal, octal or binary.
fn whole(word: &str) -> Option<i128> {
    let (sign, digits) =
        word.strip_prefix('-').map_or((1, word.strip_prefix('+').unwrap_or(word)), |digits| (-1, digits));
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find_map(|(prefix, radix)| Some((radix, lower.strip_prefix(prefix)?)))
        .unwrap_or((10, &lower));
    let starts = digits.starts_with(|start: char| start.is_digit(radix));
    let number = i128::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    (starts && is_grouped(digits)).then(|| sign * number)
}

/// Arguments with these names, each given by its place or by its name.
pub(super) fn by_place_or_name<const N: usize>(
    arguments: &[Jinja],
    names: [&str; N],
) -> Result<[Option<Jinja>; N], JinjaError> {
    let (by_place, by_name) = match arguments.split_last() {
        Some((last, before)) if last.is_kwargs() => (before, Kwargs::try_from(last.clone())?),
        _ => (arguments, std::iter::empty::<(&str, Jinja)>().collect()),
    };
    let mut found = [const { None }; N];
    for (index, name) in names.into_iter().enumerate() {
        found[index] = match by_place.get(index) {
            Some(value) => Some(value.clone()),
            None => by_name.get(name)?,
        };
    }
    by_name.assert_all_used()?;
    Ok(found)
}

/// Python's methods of texts that the library lacks.
pub(super) fn method(
    state: &mut State<'_, '_>,
    value: &Jinja,
    method: &str,
    arguments: &[Jinja],
) -> Result<Jinja, JinjaError> {
    let texts = (value.as_str(), arguments.first().and_then(Jinja::as_str));
    match (method, texts) {
        ("removeprefix", (Some(text), Some(prefix))) => Ok(text.strip_prefix(prefix).unwrap_or(text).into()),
        ("removesuffix", (Some(text), Some(suffix))) => Ok(text.strip_suffix(suffix).unwrap_or(text).into()),
        ("index", (Some(text), Some(part))) => match text.find(part) {
            Some(at) => Ok(text[..at].chars().count().into()),
            None => Err(failed("substring not found".into())),
        },
        ("zfill" | "ljust" | "rjust" | "center", (Some(text), _)) => padded(method, text, arguments),
        ("title", (Some(text), None)) => Ok(title(text).into()),
        ("swapcase", (Some(text), None)) if text.is_ascii() => {
            let swapped =
                |c: char| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            Ok(text.chars().map(swapped).collect::<String>().into())
        }
        ("casefold", (Some(text), None)) if text.is_ascii() => Ok(text.to_ascii_lowercase().into()),
        ("rsplit", (Some(text), Some(separator))) => {
            let most = arguments.get(1).and_then(Jinja::as_usize).map_or(usize::MAX, |most| most + 1);
            let mut parts: Vec<Jinja> = text.rsplitn(most, separator).map(Jinja::from).collect();
            parts.reverse();
            Ok(parts.into())
        }
        ("partition", (Some(text), Some(separator))) => {
            let (before, after) = text.split_once(separator).unwrap_or((text, ""));
            let found = &text[before.len()..text.len() - after.len()];
            Ok([before, found, after].map(Jinja::from).to_vec().into())
        }
        ("rpartition", (Some(text), Some(separator))) => {
            let (before, after) = text.rsplit_once(separator).unwrap_or(("", text));
            let found = &text[before.len()..text.len() - after.len()];
            Ok([before, found, after].map(Jinja::from).to_vec().into())
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments),
    }
}

/// A text that is made as long as the first argument says.
fn padded(method: &str, text: &str, arguments: &[Jinja]) -> Result<Jinja, JinjaError> {
    let width = arguments.first().and_then(Jinja::as_usize);
    let width = width
        .filter(|width| *width <= MAX_LENGTH)
        .ok_or_else(|| failed(format!("the width of `{method}`")))?;
    let filler =
        if method == "zfill" { "0" } else { arguments.get(1).and_then(Jinja::as_str).unwrap_or(" ") };
    let lacking = width.saturating_sub(text.chars().count());
    let pad = |count: usize| filler.repeat(count);
    Ok(match method {
        "ljust" => format!("{text}{}", pad(lacking)),
        "center" => {
            let before = lacking / 2 + (lacking & width & 1);
            format!("{}{text}{}", pad(before), pad(lacking - before))
        }
        // A sign stays first.
        "zfill" if text.starts_with(['-', '+']) => format!("{}{}{}", &text[..1], pad(lacking), &text[1..]),
        _ => format!("{}{text}", pad(lacking)),
    }
    .into())
}

/// Each letter after none is a capital, as by Python's method. Jinja's filter splits at spaces and hyphens.
fn title(text: &str) -> String {
    let mut is_inside = false;
    let one = |letter: char| -> String {
        let is_first = !std::mem::replace(&mut is_inside, letter.is_alphabetic());
        if is_first { letter.to_uppercase().collect() } else { letter.to_lowercase().collect() }
    };
    text.chars().map(one).collect()
}

/// Jinja's filter: a text that is more than five characters too long is cut, at a space unless words may be cut.
pub(super) fn truncate(text: &str, arguments: Rest<ValueOrKwargs>) -> Result<String, JinjaError> {
    let names = ["length", "killwords", "end", "leeway"];
    let [length, cuts_words, end, leeway] = by_place_or_name(&arguments.into_values(), names)?;
    let length = length.and_then(|length| length.as_usize()).unwrap_or(255);
    let leeway = leeway.and_then(|leeway| leeway.as_usize()).unwrap_or(5);
    let end = end.map_or_else(|| "...".to_owned(), |end| written(&end));
    let Some(kept) = length.checked_sub(end.chars().count()) else {
        return Err(failed(format!("expected a length of at least {}", end.chars().count())));
    };
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text.to_owned());
    }
    let kept: String = text.chars().take(kept).collect();
    let at_space = kept.rsplit_once(' ').map_or(&*kept, |(before, _)| before);
    Ok(format!("{}{end}", if cuts_words.is_some_and(|cuts| cuts.is_true()) { &kept } else { at_space }))
}

/// Jinja's filter: a text that is no number is the default.
pub(super) fn int(
    state: &State<'_, '_>,
    value: &Jinja,
    default: Option<Jinja>,
    base: Option<u32>,
    kwargs: Kwargs,
) -> Result<Jinja, JinjaError> {
    let other = default_of(value, default.as_ref(), &kwargs)?;
    let value = plain_number(value);
    let is_finite = value.as_str().and_then(|text| text.parse::<f64>().ok()).is_none_or(f64::is_finite);
    match filters::int(state, &value, default, base, kwargs) {
        Ok(number) if is_finite => Ok(number),
        Ok(_) => Ok(other),
        Err(_) if value.as_str().is_some() => Ok(other),
        Err(error) => Err(error),
    }
}

/// Jinja's filter: a text that is no number is the default.
pub(super) fn float(
    state: &State<'_, '_>,
    value: &Jinja,
    default: Option<Jinja>,
    kwargs: Kwargs,
) -> Result<Jinja, JinjaError> {
    let other = default_of(value, default.as_ref(), &kwargs)?;
    let other = if other == Jinja::from(0) { 0.0.into() } else { other };
    let value = plain_number(value);
    match filters::float(state, &value, default, kwargs) {
        Err(_) if value.as_str().is_some() => Ok(other),
        number => number,
    }
}

/// The default of a filter for numbers.
fn default_of(value: &Jinja, default: Option<&Jinja>, kwargs: &Kwargs) -> Result<Jinja, JinjaError> {
    if value.is_undefined() {
        return Err(failed("a value is undefined".into()));
    }
    let named = kwargs.get::<Option<Jinja>>("default")?;
    Ok(default.cloned().or(named).unwrap_or_else(|| 0.into()))
}

/// Python reads a text with spaces around it and underscores between its digits as a number.
fn plain_number(value: &Jinja) -> Jinja {
    match value.as_str().map(str::trim) {
        Some(text) if is_grouped(text) => text.replace('_', "").into(),
        Some(text) => text.into(),
        None => value.clone(),
    }
}

/// Jinja's filter for a part of a URL.
pub(super) fn urlencode(value: &Jinja) -> Result<String, JinjaError> {
    const KEPT: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');
    let kind = value.kind();
    if matches!(kind, ValueKind::String | ValueKind::Number | ValueKind::Bool | ValueKind::None) {
        return Ok(utf8_percent_encode(&written(value), KEPT).to_string());
    }
    Err(failed(format!("{NOT_RENDERED} `urlencode` of a {kind}")))
}

/// Jinja's test: a text is a sequence of letters, and a mapping one of keys.
pub(super) fn is_sequence(value: &Jinja) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map)
}

pub(super) fn failed(text: String) -> JinjaError {
    JinjaError::new(ErrorKind::InvalidOperation, text)
}
