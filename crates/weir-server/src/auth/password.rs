//! Passwords: hashed slowly with a salt, so that a stolen hash does not give the password away.

use std::num::NonZeroU32;

use aws_lc_rs::{pbkdf2, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use weir_api::Secret;

use crate::error::{Error, Result};

/// The shortest password, in characters. Source: `config/initializers/devise_password_length.rb.example`.
pub const MIN_LENGTH: usize = 8;
/// The longest, in characters.
pub const MAX_LENGTH: usize = 128;

/// Rounds of a new hash, as OWASP advises for PBKDF2-HMAC-SHA256. A stored hash tells its own.
const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(600_000 - 1);
/// Bytes of salt and of hash.
const SALT: usize = 16;
const HASH: usize = 32;

/// `pbkdf2-sha256$ROUNDS$SALT$HASH` of a password. Takes a good part of a second; runs beside the runtime's threads.
pub async fn hash(password: Secret) -> Result<String> {
    blocking(move || hash_with(&password, ROUNDS)).await?
}

/// Whether the password is the one of a stored hash.
pub async fn verify(password: Secret, stored: String) -> Result<bool> {
    blocking(move || verify_with(&password, &stored).unwrap_or(false)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Internal(Box::new(error)))
}

fn hash_with(password: &Secret, rounds: NonZeroU32) -> Result<String> {
    let mut salt = [0; SALT];
    rand::fill(&mut salt).map_err(|_| Error::internal("the system gives no random bytes"))?;
    let mut hash = [0; HASH];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.expose().as_bytes(), &mut hash);
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    Ok(format!("pbkdf2-sha256${rounds}${salt}${hash}"))
}

fn verify_with(password: &Secret, stored: &str) -> Option<bool> {
    let (rounds, rest) = stored.strip_prefix("pbkdf2-sha256$")?.split_once('$')?;
    let (salt, hash) = rest.split_once('$')?;
    let (salt, hash) = (STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(hash).ok()?);
    let password = password.expose().as_bytes();
    Some(pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA256, rounds.parse().ok()?, &salt, password, &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_password_and_no_other() {
        let rounds = NonZeroU32::MIN;
        let stored = hash_with(&"correct horse".into(), rounds).unwrap();
        assert!(!stored.contains("horse"));
        assert_eq!(verify_with(&"correct horse".into(), &stored), Some(true));
        assert_eq!(verify_with(&"battery staple".into(), &stored), Some(false));
        assert_eq!(verify_with(&"correct horse".into(), "nonsense"), None);
        assert_ne!(stored, hash_with(&"correct horse".into(), rounds).unwrap(), "salted");
    }
}
