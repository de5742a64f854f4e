//! The digest scheme: `user:password` becomes `user:base64(hash(user:password))`.

use crate::options::DigestAlgorithm;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest;

/// The id of a digest caller from what it sent (reference `DigestAuthenticationProvider.generateDigest`). Text without
/// a colon is a user name with no password: it is hashed as it stands.
pub fn digest_id(algorithm: DigestAlgorithm, user_password: &str) -> String {
    let user = user_password.split(':').next().unwrap_or_default();
    let bytes = user_password.as_bytes();
    let encoded = match algorithm {
        DigestAlgorithm::Sha1 => STANDARD.encode(sha1::Sha1::digest(bytes)),
        DigestAlgorithm::Sha256 => STANDARD.encode(sha2::Sha256::digest(bytes)),
        DigestAlgorithm::Sha512 => STANDARD.encode(sha2::Sha512::digest(bytes)),
        DigestAlgorithm::Sha3_256 => STANDARD.encode(sha3::Sha3_256::digest(bytes)),
        DigestAlgorithm::Md5 => STANDARD.encode(md5::Md5::digest(bytes)),
    };
    format!("{user}:{encoded}")
}
