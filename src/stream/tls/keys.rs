//! From secrets to keys, and records opened with them (RFC 8446 sections 5.2, 5.3 and 7.3; RFC
//! 5246 sections 5 and 6.3; RFC 5288; RFC 7905). The ciphers are `ring`'s.

use std::ops::Range;

use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce,
    UnboundKey,
};
use ring::{hkdf, hmac};
use tls_parser::{TlsCipherEnc, TlsCipherEncMode, TlsCipherSuite, TlsPRF};

use super::super::Side;
use super::keylog::Secret;
use super::record::HEADER;

/// Version numbers on the wire.
pub(super) const TLS_1_2: u16 = 0x0303;
pub(super) const TLS_1_3: u16 = 0x0304;

/// Bytes of a nonce that TLS 1.2 sends along with AES-GCM.
const EXPLICIT: usize = 8;

/// Where in a nonce its last eight bytes begin: those that differ from record to record.
const COUNTED: usize = NONCE_LEN - EXPLICIT;

/// The longest key block of the suites here: two keys of 32 bytes, two vectors of twelve.
const KEY_BLOCK: usize = 88;

/// How records of a suite are encrypted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suite {
    cipher: &'static Algorithm,
    hkdf: hkdf::Algorithm,
    hmac: hmac::Algorithm,
    /// The parts of the nonce that TLS 1.2 takes from the key block.
    vector: usize,
    version: u16,
}

impl Suite {
    /// The suite with this number, if it is one of those that can be decrypted.
    pub(super) fn new(number: u16, version: u16) -> Option<Self> {
        let suite = TlsCipherSuite::from_id(number)?;
        let (cipher, vector) = match (suite.enc, suite.enc_mode, suite.enc_size) {
            (TlsCipherEnc::Aes, TlsCipherEncMode::Gcm, 128) => (&AES_128_GCM, 4),
            (TlsCipherEnc::Aes, TlsCipherEncMode::Gcm, 256) => (&AES_256_GCM, 4),
            (TlsCipherEnc::Chacha20_Poly1305, ..) => (&CHACHA20_POLY1305, NONCE_LEN),
            _ => return None,
        };
        let (hkdf, hmac) = match suite.prf {
            TlsPRF::Sha256 => (hkdf::HKDF_SHA256, hmac::HMAC_SHA256),
            TlsPRF::Sha384 => (hkdf::HKDF_SHA384, hmac::HMAC_SHA384),
            _ => return None,
        };
        Some(Self {
            cipher,
            hkdf,
            hmac,
            vector,
            version,
        })
    }

    /// The IANA name of a suite, known here or not.
    pub(super) fn name(number: u16) -> Option<&'static str> {
        TlsCipherSuite::from_id(number).map(|suite| suite.name)
    }

    fn hash_length(&self) -> usize {
        self.hmac.digest_algorithm().output_len()
    }

    /// The opener of one side's records in TLS 1.3, from its traffic secret.
    pub(super) fn opener(&self, secret: &Secret) -> Option<Opener> {
        let secret = secret.bytes();
        if secret.len() != self.hash_length() {
            return None;
        }
        let mut key = [0; 32];
        let key = key.get_mut(..self.cipher.key_len())?;
        let mut vector = [0; NONCE_LEN];
        self.expand(secret, b"key", key)?;
        self.expand(secret, b"iv", &mut vector)?;
        self.with_key(key, vector, 0)
    }

    /// The secret after a key update.
    pub(super) fn next_secret(&self, secret: &Secret) -> Option<Secret> {
        let mut next = [0; 48];
        let next = next.get_mut(..self.hash_length())?;
        self.expand(secret.bytes(), b"traffic upd", next)?;
        Secret::new(next)
    }

    /// HKDF-Expand-Label with an empty context.
    fn expand(&self, secret: &[u8], label: &[u8], out: &mut [u8]) -> Option<()> {
        let length = u16::try_from(out.len()).ok()?.to_be_bytes();
        const PREFIX: &[u8] = b"tls13 ";
        let label_length = u8::try_from(PREFIX.len().checked_add(label.len())?).ok()?;
        let info: [&[u8]; 5] = [&length, &[label_length], PREFIX, label, &[0]];
        let key = hkdf::Prk::new_less_safe(self.hkdf, secret);
        key.expand(&info, Length(out.len())).ok()?.fill(out).ok()
    }

    /// The opener of one side's records in TLS 1.2, from the master secret.
    pub(super) fn opener_from_master(
        &self,
        master: &Secret,
        side: Side,
        client_random: &[u8; 32],
        server_random: &[u8; 32],
    ) -> Option<Opener> {
        let mut block = [0; KEY_BLOCK];
        let seed = [b"key expansion", &server_random[..], &client_random[..]];
        prf(self.hmac, master.bytes(), &seed, &mut block);
        // Client's key, server's key, client's vector, server's vector.
        let key_length = self.cipher.key_len();
        let (keys, vectors) = block.split_at_checked(key_length.checked_mul(2)?)?;
        let (client_key, server_key) = keys.split_at_checked(key_length)?;
        let (client_vector, rest) = vectors.split_at_checked(self.vector)?;
        let server_vector = rest.get(..self.vector)?;
        let (key, fixed) = match side {
            Side::Client => (client_key, client_vector),
            Side::Server => (server_key, server_vector),
        };
        let mut vector = [0; NONCE_LEN];
        vector.get_mut(..self.vector)?.copy_from_slice(fixed);
        self.with_key(key, vector, NONCE_LEN.saturating_sub(self.vector))
    }

    fn with_key(&self, key: &[u8], vector: [u8; NONCE_LEN], explicit: usize) -> Option<Opener> {
        Some(Opener {
            key: LessSafeKey::new(UnboundKey::new(self.cipher, key).ok()?),
            vector,
            explicit,
            version: self.version,
            sequence: 0,
        })
    }
}

/// A length for `ring::hkdf`.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// The pseudorandom function of TLS 1.2 (RFC 5246 section 5); `seed` begins with the label.
fn prf(algorithm: hmac::Algorithm, secret: &[u8], seed: &[&[u8]], out: &mut [u8]) {
    let key = hmac::Key::new(algorithm, secret);
    let sign = |parts: &[&[u8]]| {
        let mut context = hmac::Context::with_key(&key);
        parts.iter().for_each(|part| context.update(part));
        context.sign()
    };
    let mut a = sign(seed);
    for part in out.chunks_mut(algorithm.digest_algorithm().output_len()) {
        let mut context = hmac::Context::with_key(&key);
        context.update(a.as_ref());
        seed.iter().for_each(|part| context.update(part));
        let block = context.sign();
        for (place, byte) in part.iter_mut().zip(block.as_ref()) {
            *place = *byte;
        }
        a = sign(&[a.as_ref()]);
    }
}

/// Opens the records of one side, in order.
pub(super) struct Opener {
    key: LessSafeKey,
    vector: [u8; NONCE_LEN],
    /// Bytes of the nonce that each record brings along.
    explicit: usize,
    version: u16,
    /// The number of the next record.
    sequence: u64,
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Opener {
    /// Decrypts a record (with its header) in place: where in it the content is now. `None` where
    /// its authentication tag is wrong; its bytes are lost then.
    pub(super) fn open(&mut self, record: &mut [u8]) -> Option<Range<usize>> {
        let range = self.open_as(record, self.sequence)?;
        self.skip(1);
        Some(range)
    }

    /// So many records are missing.
    pub(super) fn skip(&mut self, records: u64) {
        self.sequence = self.sequence.saturating_add(records);
    }

    /// The same for the record with a certain number; the next one expected stays the same.
    pub(super) fn open_as(&self, record: &mut [u8], sequence: u64) -> Option<Range<usize>> {
        let (header, content) = record.split_first_chunk_mut::<HEADER>()?;
        let number = sequence.to_be_bytes();
        let mut nonce = self.vector;
        let (explicit, sealed) = content.split_at_mut_checked(self.explicit)?;
        if explicit.is_empty() {
            for (place, byte) in nonce.iter_mut().skip(COUNTED).zip(number) {
                *place ^= byte;
            }
        } else {
            for (place, byte) in nonce.iter_mut().skip(COUNTED).zip(explicit) {
                *place = *byte;
            }
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = if self.version == TLS_1_3 {
            self.key.open_in_place(nonce, Aad::from(*header), sealed)
        } else {
            let tag = self.key.algorithm().tag_len();
            let length = u16::try_from(sealed.len().checked_sub(tag)?)
                .ok()?
                .to_be_bytes();
            let mut data = [0; 13];
            let parts = number.iter().chain(header.iter().take(3)).chain(&length);
            for (place, byte) in data.iter_mut().zip(parts) {
                *place = *byte;
            }
            self.key.open_in_place(nonce, Aad::from(data), sealed)
        };
        let length = opened.ok()?.len();
        let start = HEADER.checked_add(self.explicit)?;
        Some(start..start.checked_add(length)?)
    }

    /// The number of the next record.
    pub(super) const fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// The other end, for tests: records as their sender makes them.
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing
)]
impl Opener {
    pub(super) fn seal(&mut self, content_type: u8, content: &[u8], padding: usize) -> Vec<u8> {
        let mut sealed = content.to_vec();
        let tls_1_3 = self.version == TLS_1_3;
        let outer = if tls_1_3 { 23 } else { content_type };
        if tls_1_3 {
            sealed.push(content_type);
            sealed.resize(sealed.len() + padding, 0);
        }
        let number = self.sequence.to_be_bytes();
        self.sequence += 1;
        let mut nonce = self.vector;
        let explicit = &number[..self.explicit];
        if explicit.is_empty() {
            nonce
                .iter_mut()
                .skip(COUNTED)
                .zip(number)
                .for_each(|(place, byte)| *place ^= byte);
        } else {
            nonce[COUNTED..].copy_from_slice(explicit);
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        let length = sealed.len() + self.explicit + 16;
        let mut record = vec![outer, 3, 3];
        record.extend((length as u16).to_be_bytes());
        let mut data = record.clone();
        if !tls_1_3 {
            data = [
                &number[..],
                &record[..3],
                &(sealed.len() as u16).to_be_bytes(),
            ]
            .concat();
        }
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(&data), &mut sealed)
            .unwrap();
        record.extend(explicit);
        record.extend(sealed);
        record
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// RFC 8448 section 3: server handshake traffic secret to key and vector.
    #[test]
    fn keys_of_the_example_in_rfc_8448() {
        let suite = Suite::new(0x1301, TLS_1_3).unwrap();
        let secret = hex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
        let (mut key, mut vector) = ([0; 16], [0; 12]);
        suite.expand(&secret, b"key", &mut key).unwrap();
        suite.expand(&secret, b"iv", &mut vector).unwrap();
        assert_eq!(key.to_vec(), hex("3fce516009c21727d0f2e4e86ee403bc"));
        assert_eq!(vector.to_vec(), hex("5d313eb2671276ee13000b30"));
    }

    /// The test vector for P_SHA256 that implementers agreed on
    /// (https://mailarchive.ietf.org/arch/msg/tls/fzVCzk-z3FShgGJ6DOXqM1ydxms/).
    #[test]
    fn pseudorandom_function_of_tls_1_2() {
        let secret = hex("9bbe436ba940f017b17652849a71db35");
        let seed = hex("a0ba9f936cda311827a6f796ffd5198c");
        let mut out = [0; 100];
        prf(
            hmac::HMAC_SHA256,
            &secret,
            &[b"test label", &seed],
            &mut out,
        );
        assert_eq!(out[..16].to_vec(), hex("e3f229ba727be17b8d122620557cd453"));
        assert_eq!(out[84..].to_vec(), hex("22ee42c5a72e5a5110fff70187347b66"));
    }

    #[test]
    fn suites_that_can_be_decrypted() {
        for (number, version) in [
            (0x1301, TLS_1_3),
            (0x1302, TLS_1_3),
            (0x1303, TLS_1_3),
            (0xc02f, TLS_1_2),
            (0xc030, TLS_1_2),
            (0xcca8, TLS_1_2),
            (0x009d, TLS_1_2),
        ] {
            assert!(Suite::new(number, version).is_some(), "{number:#06x}");
        }
        // CBC, CCM, and a number that nobody has.
        for number in [0xc014, 0x1304, 0xfefe] {
            assert!(Suite::new(number, TLS_1_2).is_none(), "{number:#06x}");
        }
    }
}
