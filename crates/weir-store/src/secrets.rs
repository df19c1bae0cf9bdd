//! Secrets: tokens that are only stored hashed, and values that are stored sealed.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use crate::db::{FromValue, ToValue, Value};
use crate::digest::{hex, sha256};

/// Something that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the one place that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value, for the one place that needs it.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What a token is for. Its prefix says so, and secret scanners know it.
/// Source: `doc/security/tokens/_index.md`, "Token prefixes".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A personal, project or group access token.
    PersonalAccess,
    /// A deploy token.
    Deploy,
    /// A runner's authentication token.
    Runner,
    /// A running job's token.
    Job,
    /// A pipeline trigger token.
    Trigger,
    /// A runner registration token.
    Registration,
}

impl TokenKind {
    /// What the token begins with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::PersonalAccess => "glpat-",
            Self::Deploy => "gldt-",
            Self::Runner => "glrt-",
            Self::Job => "glcbt-",
            Self::Trigger => "glptt-",
            Self::Registration => "GR1348941",
        }
    }

    /// A new token: the prefix and 120 random bits.
    pub fn generate(self) -> Result<Secret<String>, SecretError> {
        Ok(Secret(format!("{}{}", self.prefix(), random_text()?)))
    }
}

/// How many characters follow a token's prefix, as in GitLab.
const TOKEN_LENGTH: usize = 20;

/// The alphabet of URL-safe Base64: 6 bits a character.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// 20 random characters that need no quoting in a URL.
pub fn random_text() -> Result<String, SecretError> {
    let bytes = random::<TOKEN_LENGTH>()?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect())
}

/// A random UUID, version 4.
pub fn uuid() -> Result<String, SecretError> {
    let mut bytes = random::<16>()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex(&bytes);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Ok(parts.join("-"))
}

fn random<const N: usize>() -> Result<[u8; N], SecretError> {
    let mut bytes = [0; N];
    // AWS-LC's own generator measures the processor's jitter for 30 ms at its first use, which is at each start.
    getrandom::fill(&mut bytes).map_err(|_| SecretError::NoRandomness)?;
    Ok(bytes)
}

/// The SHA-256 of a token: all of it that is stored. Tokens are random, so no salt or slow hash is needed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of `token`.
    pub fn of(token: &str) -> Self {
        Self(sha256(token.as_bytes()))
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[digest]")
    }
}

impl ToValue for TokenDigest {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(&self.0)
    }
}

impl FromValue<'_> for TokenDigest {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        <[u8; 32]>::from_value(value).map(Self)
    }
}

/// Why a secret could not be made, sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
    /// The key file cannot be read or made.
    #[error("the key file {path}: {source}")]
    KeyFile {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The key file does not hold keys.
    #[error(
        "line {line} of the key file is no key; expected a key id of 8 and a key of 64 hexadecimal digits"
    )]
    KeyText {
        /// The line, from 1.
        line: usize,
    },
    /// The value was sealed with a key that is not there.
    #[error(
        "a stored secret was sealed with key {0:08x}, which is not in the key file; restore the file that belongs to this database"
    )]
    UnknownKey(u32),
    /// The value was changed, moved to another place, or is no sealed value at all.
    #[error("a stored secret cannot be opened: it was changed, or does not belong where it is")]
    Tampered,
}

/// The first byte of a sealed value.
const VERSION: u8 = 1;
/// Version and key id come before the nonce.
const NONCE_AT: usize = 5;
const SEALED_AT: usize = NONCE_AT + NONCE_LEN;

/// The keys that seal what is secret in the database.
///
/// A sealed value is a version byte, a key id, a nonce, and AES-256-GCM-SIV of the text. What it belongs to
/// (table, column, row) is authenticated, so that a sealed value cannot be moved to another row.
pub struct Keyring {
    keys: Vec<(u32, RandomizedNonceKey)>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("keys", &self.keys.len()).finish()
    }
}

impl Keyring {
    /// Reads the keys from `path`, or makes the file with a new key, readable by its owner only.
    pub fn open(path: &Path) -> Result<Self, SecretError> {
        let failed = |source| SecretError::KeyFile { path: path.display().to_string(), source };
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
                if mode & 0o077 != 0 {
                    tracing::warn!(path = %path.display(), "others than its owner can read the key file");
                }
                Self::parse(&text)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let text = new_key()?;
                create(path, text.expose()).map_err(failed)?;
                // Another process may have been first; its key counts.
                Self::parse(&std::fs::read_to_string(path).map_err(failed)?)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Reads keys from text: one `ID KEY` in hexadecimal digits per line. The last one seals, all open; to
    /// change the key, append a line.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let key = || {
                let (id, key) = line.trim().split_once(' ')?;
                let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &from_hex(key)?).ok()?;
                Some((u32::from_str_radix(id, 16).ok()?, key))
            };
            keys.push(key().ok_or(SecretError::KeyText { line: index + 1 })?);
        }
        if keys.is_empty() { Err(SecretError::KeyText { line: 1 }) } else { Ok(Self { keys }) }
    }

    /// Seals `text` for the place `belongs_to`, for example `variables.value:42`.
    pub fn seal(&self, belongs_to: &str, text: &[u8]) -> Result<Vec<u8>, SecretError> {
        let (id, key) = self.keys.last().ok_or(SecretError::NoRandomness)?;
        let mut body = text.to_vec();
        let nonce = key
            .seal_in_place_append_tag(Aad::from(belongs_to.as_bytes()), &mut body)
            .map_err(|_| SecretError::NoRandomness)?;
        let mut sealed = Vec::with_capacity(SEALED_AT + body.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&id.to_be_bytes());
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Opens what [`seal`](Self::seal) sealed for the same place.
    pub fn open_sealed(&self, belongs_to: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, SecretError> {
        let head = sealed.get(..SEALED_AT).ok_or(SecretError::Tampered)?;
        let (&[version, a, b, c, d], nonce) = head.split_first_chunk().ok_or(SecretError::Tampered)?;
        let id = u32::from_be_bytes([a, b, c, d]);
        if version != VERSION {
            return Err(SecretError::Tampered);
        }
        let (_, key) = self.keys.iter().find(|(key, _)| *key == id).ok_or(SecretError::UnknownKey(id))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SecretError::Tampered)?;
        let mut body = sealed[SEALED_AT..].to_vec();
        let length = key
            .open_in_place(nonce, Aad::from(belongs_to.as_bytes()), &mut body)
            .map_err(|_| SecretError::Tampered)?
            .len();
        body.truncate(length);
        Ok(Secret(body))
    }
}

fn new_key() -> Result<Secret<String>, SecretError> {
    // The id is random too: after a lost key file the new key is not taken for the old one.
    Ok(Secret(format!("{} {}\n", hex(&random::<4>()?), hex(&random::<32>()?))))
}

/// Writes the file so that it is there in full or not at all, and never replaces one.
fn create(path: &Path, text: &str) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let staged = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&staged, path);
    std::fs::remove_file(&staged)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => File::open(directory)?.sync_all(),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim().as_bytes();
    let digit = |c: u8| char::from(c).to_digit(16);
    let byte = |pair: &[u8]| match *pair {
        [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = "00000001 1111111111111111111111111111111111111111111111111111111111111111\n";
    const TWO_KEYS: &str = "00000001 1111111111111111111111111111111111111111111111111111111111111111\n\
                            00000002 2222222222222222222222222222222222222222222222222222222222222222\n";

    #[test]
    fn what_is_sealed_opens_in_its_place() {
        let keys = Keyring::parse(KEYS).unwrap();
        for text in [&b""[..], b"hunter2", &[0; 10_000]] {
            let sealed = keys.seal("variables.value:1", text).unwrap();
            assert_eq!(keys.open_sealed("variables.value:1", &sealed).unwrap().expose(), text);
        }
    }

    #[test]
    fn sealing_twice_gives_two_texts() {
        let keys = Keyring::parse(KEYS).unwrap();
        assert_ne!(keys.seal("a", b"text").unwrap(), keys.seal("a", b"text").unwrap());
    }

    #[test]
    fn a_sealed_value_opens_nowhere_else() {
        let keys = Keyring::parse(KEYS).unwrap();
        let sealed = keys.seal("variables.value:1", b"hunter2").unwrap();
        let moved = keys.open_sealed("variables.value:2", &sealed);
        assert!(matches!(moved, Err(SecretError::Tampered)));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let keys = Keyring::parse(KEYS).unwrap();
        let sealed = keys.seal("a", b"hunter2").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(keys.open_sealed("a", &changed).is_err(), "byte {index}");
        }
        for length in 0..sealed.len() {
            assert!(keys.open_sealed("a", &sealed[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn a_new_key_seals_and_the_old_one_still_opens() {
        let old = Keyring::parse(KEYS).unwrap();
        let sealed = old.seal("a", b"old").unwrap();
        let both = Keyring::parse(TWO_KEYS).unwrap();
        assert_eq!(both.open_sealed("a", &sealed).unwrap().expose(), b"old");
        let newer = both.seal("a", b"new").unwrap();
        assert!(matches!(old.open_sealed("a", &newer), Err(SecretError::UnknownKey(2))));
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_line() {
        for (text, expected) in [
            ("", 1),
            ("zz", 1),
            ("00000001 11", 1),
            (&*format!("{KEYS}\nnonsense"), 3),
            (&*format!("00000001 {}", "é".repeat(32)), 1),
        ] {
            let found = Keyring::parse(text);
            assert!(matches!(found, Err(SecretError::KeyText { line }) if line == expected), "{text:?}");
        }
    }

    #[test]
    fn the_key_file_is_made_once_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets.key");
        let sealed = Keyring::open(&path).unwrap().seal("a", b"text").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(Keyring::open(&path).unwrap().open_sealed("a", &sealed).unwrap().expose(), b"text");
    }

    #[test]
    fn tokens_have_gitlabs_form_and_differ() {
        let token = TokenKind::PersonalAccess.generate().unwrap();
        let random = token.expose().strip_prefix("glpat-").unwrap();
        assert_eq!(random.len(), 20);
        assert!(random.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        assert_ne!(token, TokenKind::PersonalAccess.generate().unwrap());
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
        assert_eq!(format!("{:?}", TokenDigest::of("glpat-x")), "[digest]");
        assert_eq!(format!("{:?}", Keyring::parse(KEYS).unwrap()), "Keyring { keys: 1 }");
    }
}
