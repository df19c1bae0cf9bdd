//! Parameters as GitLab's API framework reads them.
//!
//! Query, body (JSON, form, multipart) and path captures form one tree; keys with brackets nest
//! (`scope[]=a`, `variables[0][key]=K`, `filter[environment_scope]=x`). Values from forms are texts, so
//! every reader accepts a text for a number or a boolean.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart};
use axum::http::{HeaderMap, Request, header};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The largest body that is read as parameters, in bytes. Files go through streamed routes instead.
pub const MAX_BODY: usize = 32 << 20;
/// The deepest nesting of bracketed keys.
const MAX_DEPTH: usize = 8;
/// The most parameters in a query or form.
const MAX_PAIRS: usize = 5_000;
/// Some entity tags and ids are longer than this, no honest number is.
const MAX_NUMBER: usize = 20;

/// All parameters of a request, merged.
#[derive(Debug, Clone, Default)]
pub struct Params(Map<String, Value>);

impl Params {
    /// Adds the pairs of a query string or form.
    pub fn add_form(&mut self, text: &[u8]) -> Result<()> {
        for (count, (key, value)) in form_pairs(text).enumerate() {
            if count >= MAX_PAIRS {
                return Err(Error::parameter("too many parameters"));
            }
            let (key, value) = (utf8(key)?, utf8(value)?);
            insert(&mut self.0, &key, Value::String(value))?;
        }
        Ok(())
    }

    /// Adds the body of a request, by its content type.
    pub async fn add_body(&mut self, headers: &HeaderMap, body: Body) -> Result<()> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
        let essence = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        if essence == "multipart/form-data" {
            return self.add_multipart(headers, body).await;
        }
        let bytes = read_limited(body).await?;
        match essence.as_str() {
            _ if bytes.iter().all(u8::is_ascii_whitespace) => Ok(()),
            "application/json" => self.add_json(&bytes),
            "application/x-www-form-urlencoded" | "" => self.add_form(&bytes),
            // Some clients send an action without content under a type of their own.
            other => Err(Error::UnsupportedMediaType(other.to_owned())),
        }
    }

    fn add_json(&mut self, bytes: &[u8]) -> Result<()> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(map)) => {
                self.0.extend(map);
                Ok(())
            }
            Ok(_) | Err(_) => Err(Error::parameter("message body does not match declared format")),
        }
    }

    async fn add_multipart(&mut self, headers: &HeaderMap, body: Body) -> Result<()> {
        let mut request = Request::new(body);
        *request.headers_mut() = headers.clone();
        let malformed = || Error::parameter("message body does not match declared format");
        let mut form = Multipart::from_request(request, &()).await.map_err(|_| malformed())?;
        let mut size = 0;
        while let Some(field) = form.next_field().await.map_err(|_| malformed())? {
            let name = field.name().unwrap_or_default().to_owned();
            let bytes = field.bytes().await.map_err(|_| Error::TooLarge(None))?;
            size += bytes.len();
            if size > MAX_BODY {
                return Err(Error::TooLarge(None));
            }
            insert(&mut self.0, &name, Value::String(utf8(bytes.to_vec())?))?;
        }
        Ok(())
    }

    /// Sets one parameter; path captures win over all others.
    pub fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.to_owned(), Value::String(value));
    }

    /// Takes one parameter away.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// All parameters as one JSON object.
    pub fn json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// The raw value.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A text, if it is there as one.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    /// All parameters as one typed body; a complaint names the first field that does not fit.
    pub fn typed<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(Value::Object(self.0.clone())).map_err(|error| {
            let text = error.to_string();
            let complaint = match text.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
                Some((field, _)) => format!("{field} is missing"),
                None => text,
            };
            Error::parameter(complaint)
        })
    }

    /// Starts reading; complaints are gathered until [`Fields::check`].
    pub fn fields(&self) -> Fields<'_> {
        Fields { map: &self.0, prefix: String::new(), complaints: Vec::new() }
    }

    /// All pairs, flattened back to the bracket form, sorted by name: for links to other pages.
    pub fn flattened(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for (key, value) in &self.0 {
            flatten(key.clone(), value, &mut pairs);
        }
        pairs.sort();
        pairs
    }
}

/// Reads typed values out of [`Params`] and gathers what is wrong with them, in GitLab's words.
#[derive(Debug)]
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    prefix: String,
    complaints: Vec<String>,
}

impl<'a> Fields<'a> {
    fn complain(&mut self, key: &str, what: &str) {
        let name = if self.prefix.is_empty() { key.to_owned() } else { format!("{}[{key}]", self.prefix) };
        self.complaints.push(format!("{name} {what}"));
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Whether the parameter is there at all, null included: an update may set a field to null.
    pub fn given(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// An optional text; numbers and booleans are read as their texts.
    pub fn text(&mut self, key: &str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) if text.contains('\0') => {
                self.complain(key, "is invalid");
                None
            }
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => {
                self.complain(key, "is invalid");
                None
            }
        }
    }

    /// An optional text that may hold any character, as the content of a file does.
    pub fn raw_text(&mut self, key: &str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) => Some(text.clone()),
            _ => self.text(key),
        }
    }

    /// A text that must be there and not be blank; empty if the check will fail.
    pub fn required(&mut self, key: &str) -> String {
        if self.value(key).is_none() {
            self.complain(key, "is missing");
            return String::new();
        }
        let text = self.text(key).unwrap_or_default();
        if text.trim().is_empty() && !self.complaints.iter().any(|complaint| complaint.starts_with(key)) {
            self.complain(key, "is empty");
        }
        text
    }

    /// A text that must be there but may be empty.
    pub fn present(&mut self, key: &str) -> String {
        if self.value(key).is_none() {
            self.complain(key, "is missing");
        }
        self.text(key).unwrap_or_default()
    }

    /// An optional whole number.
    pub fn integer(&mut self, key: &str) -> Option<i64> {
        let parsed = match self.value(key)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) if text.is_empty() => return None,
            Value::String(text) if text.len() <= MAX_NUMBER => text.trim().parse().ok(),
            _ => None,
        };
        if parsed.is_none() {
            self.complain(key, "is invalid");
        }
        parsed
    }

    /// A whole number that must be there; 0 if the check will fail.
    pub fn required_integer(&mut self, key: &str) -> i64 {
        if self.value(key).is_none() {
            self.complain(key, "is missing");
            return 0;
        }
        self.integer(key).unwrap_or_default()
    }

    /// An optional boolean; every text that clients send for one is read.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        let parsed = match self.value(key)? {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => number.as_i64().and_then(|number| match number {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            }),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "t" | "1" | "on" | "yes" => Some(true),
                "false" | "f" | "0" | "off" | "no" => Some(false),
                "" => return None,
                _ => None,
            },
            _ => None,
        };
        if parsed.is_none() {
            self.complain(key, "is invalid");
        }
        parsed
    }

    /// An optional value that is parsed from its text; a failure is `is invalid`.
    pub fn parsed<T: std::str::FromStr>(&mut self, key: &str) -> Option<T> {
        let text = self.text(key)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.complain(key, "is invalid");
        }
        parsed
    }

    /// An optional word of a closed list; a failure is `does not have a valid value`.
    pub fn word<T: std::str::FromStr>(&mut self, key: &str) -> Option<T> {
        let text = self.text(key)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.complain(key, "does not have a valid value");
        }
        parsed
    }

    /// The same, where the words are the caller's.
    pub fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            self.complain(key, "does not have a valid value");
        }
        found
    }

    /// Words of a closed list: an array, one text, or a hash of texts.
    pub fn words<T: std::str::FromStr>(&mut self, key: &str) -> Vec<T> {
        let words: Option<Vec<T>> = self.texts(key).iter().map(|word| word.parse().ok()).collect();
        words.unwrap_or_else(|| {
            self.complain(key, "does not have a valid value");
            Vec::new()
        })
    }

    /// Texts: an array, one text, or the values of a hash.
    pub fn texts(&mut self, key: &str) -> Vec<String> {
        let items: Vec<&Value> = match self.value(key) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items.iter().collect(),
            Some(Value::Object(map)) => map.values().collect(),
            Some(one) => vec![one],
        };
        let texts: Option<Vec<String>> = items.into_iter().map(scalar_text).collect();
        texts.unwrap_or_else(|| {
            self.complain(key, "is invalid");
            Vec::new()
        })
    }

    /// Texts, where one text may hold several separated by commas (`tag_list`).
    pub fn comma_texts(&mut self, key: &str) -> Option<Vec<String>> {
        self.value(key)?;
        let texts = self.texts(key);
        let parts = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
        Some(parts.filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    /// An array of hashes, each read by `read`; hashes with numbers as keys count as arrays.
    pub fn hashes<T>(&mut self, key: &str, mut read: impl FnMut(&mut Fields<'_>) -> T) -> Option<Vec<T>> {
        let items: Vec<&Value> = match self.value(key)? {
            Value::Array(items) => items.iter().collect(),
            Value::Object(map) if map.keys().all(|key| key.parse::<u32>().is_ok()) => map.values().collect(),
            _ => {
                self.complain(key, "is invalid");
                return None;
            }
        };
        let mut all = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let Value::Object(map) = item else {
                self.complain(key, "is invalid");
                return None;
            };
            let mut fields = Fields { map, prefix: format!("{key}[{index}]"), complaints: Vec::new() };
            all.push(read(&mut fields));
            self.complaints.append(&mut fields.complaints);
        }
        Some(all)
    }

    /// A hash of values of any kind.
    pub fn object(&mut self, key: &str) -> Option<Vec<(String, Value)>> {
        let Value::Object(map) = self.value(key)? else {
            self.complain(key, "is invalid");
            return None;
        };
        Some(map.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// A value of any kind that must be there.
    pub fn present_value(&mut self, key: &str) -> Option<Value> {
        let value = self.value(key).cloned();
        if value.is_none() {
            self.complain(key, "is missing");
        }
        value
    }

    /// Adds a complaint of the caller's own.
    pub fn refuse(&mut self, complaint: impl Into<String>) {
        self.complaints.push(complaint.into());
    }

    /// Complains unless one of these parameters was given.
    pub fn at_least_one(&mut self, keys: &[&str]) {
        if !keys.iter().any(|key| self.value(key).is_some()) {
            self.complaints
                .push(format!("{} are missing, at least one parameter must be provided", keys.join(", ")));
        }
    }

    /// Ends reading: all complaints become one 400.
    pub fn check(self) -> Result<()> {
        if self.complaints.is_empty() { Ok(()) } else { Err(Error::Parameters(self.complaints)) }
    }
}

async fn read_limited(body: Body) -> Result<Bytes> {
    axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| Error::TooLarge(None))
}

fn utf8(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::parameter("a parameter is not valid UTF-8"))
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Splits a query string or form into decoded pairs.
fn form_pairs(text: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + '_ {
    text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let decode = |half: Option<&[u8]>| {
            let spaced: Vec<u8> = half
                .unwrap_or_default()
                .iter()
                .map(|byte| if *byte == b'+' { b' ' } else { *byte })
                .collect();
            percent_encoding::percent_decode(&spaced).collect()
        };
        (decode(halves.next()), decode(halves.next()))
    })
}

/// Puts `value` at a bracketed key such as `variables[][key]`.
fn insert(map: &mut Map<String, Value>, key: &str, value: Value) -> Result<()> {
    let (head, rest) = key.find('[').map_or((key, ""), |at| key.split_at(at));
    let mut parts = Vec::new();
    for part in rest.split_inclusive(']') {
        match part.strip_prefix('[').and_then(|part| part.strip_suffix(']')) {
            Some(part) => parts.push(part),
            None => return Err(Error::parameter(format!("{key} is invalid"))),
        }
    }
    if parts.len() > MAX_DEPTH {
        return Err(Error::parameter(format!("{head} is nested too deeply")));
    }
    if parts.is_empty() {
        map.insert(head.to_owned(), value);
    } else {
        let slot = map.entry(head.to_owned()).or_insert(Value::Null);
        insert_nested(slot, &parts, value);
    }
    Ok(())
}

fn insert_nested(slot: &mut Value, parts: &[&str], value: Value) {
    let Some((part, rest)) = parts.split_first() else {
        *slot = value;
        return;
    };
    if part.is_empty() {
        if !slot.is_array() {
            *slot = Value::Array(Vec::new());
        }
        let Value::Array(items) = slot else { return };
        // `a[][k]=1&a[][v]=2` fills one hash until a key repeats, as Rack does.
        let open = match (items.last(), rest.first()) {
            (Some(Value::Object(last)), Some(next)) => !last.contains_key(*next),
            _ => false,
        };
        if !open {
            items.push(Value::Null);
        }
        if let Some(last) = items.last_mut() {
            insert_nested(last, rest, value);
        }
    } else {
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        if let Value::Object(map) = slot {
            insert_nested(map.entry((*part).to_owned()).or_insert(Value::Null), rest, value);
        }
    }
}

fn flatten(key: String, value: &Value, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| flatten(format!("{key}[]"), item, pairs)),
        Value::Object(map) => {
            map.iter().for_each(|(part, item)| flatten(format!("{key}[{part}]"), item, pairs));
        }
        scalar => pairs.push((key, scalar_text(scalar).unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(query: &str) -> Params {
        let mut params = Params::default();
        params.add_form(query.as_bytes()).unwrap();
        params
    }

    #[test]
    fn brackets_nest_as_in_rack() {
        for (query, tree) in [
            ("a=1&b=x+y%21", json!({"a": "1", "b": "x y!"})),
            ("scope[]=a&scope[]=b", json!({"scope": ["a", "b"]})),
            ("filter[environment_scope]=prod", json!({"filter": {"environment_scope": "prod"}})),
            (
                "v[][key]=A&v[][value]=1&v[][key]=B&v[][value]=2",
                json!({"v": [{"key": "A", "value": "1"}, {"key": "B", "value": "2"}]}),
            ),
            ("v[0][key]=A&v[1][key]=B", json!({"v": {"0": {"key": "A"}, "1": {"key": "B"}}})),
        ] {
            assert_eq!(Value::Object(read(query).0), tree, "{query}");
        }
    }

    #[test]
    fn every_spelling_of_a_boolean_is_read() {
        for (text, flag) in [("True", true), ("1", true), ("on", true), ("False", false), ("0", false)] {
            assert_eq!(read(&format!("a={text}")).fields().boolean("a"), Some(flag), "{text}");
        }
    }

    #[test]
    fn complaints_are_joined_in_gitlabs_words() {
        let params = read("id=x&scope=bogus&empty=&v[][value]=1");
        let mut fields = params.fields();
        fields.required("ref");
        fields.required("empty");
        fields.integer("id");
        fields.words::<weir_api::JobStatus>("scope");
        fields.hashes("v", |item| item.required("key"));
        let Err(Error::Parameters(complaints)) = fields.check() else { panic!("accepted") };
        assert_eq!(
            complaints,
            [
                "ref is missing",
                "empty is empty",
                "id is invalid",
                "scope does not have a valid value",
                "v[0][key] is missing",
            ]
        );
    }

    #[test]
    fn hostile_queries_are_refused_not_swallowed() {
        let mut params = Params::default();
        assert!(params.add_form(b"a=%ff").is_err());
        assert!(params.add_form(format!("a{}=1", "[x]".repeat(50)).as_bytes()).is_err());
        assert!(params.add_form("a=1&".repeat(MAX_PAIRS + 1).as_bytes()).is_err());
        let params = read("a=%00");
        let mut fields = params.fields();
        fields.text("a");
        assert!(fields.check().is_err());
    }
}
