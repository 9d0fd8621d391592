//! Keys made, and carried from host to host.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Args;
use raet_std::control::{Keys, RoleReport, Standing};
use raet_std::core::crypto::{NaclSuite, Secrets, hex};
use raet_std::keep::{FileKeep, Identity, KeepOptions};
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::judge::{Told, confirm_keys};
use super::store::{Store, nobody};
use super::{Form, Where, chosen, is, print};
use crate::options::resolve;
use crate::output::note;
use crate::{Problem, SUCCESS};

/// Bytes of the longest file that holds a key.
const LONGEST: u64 = 64 << 10;

/// Make a new estate in a new keep, with new keys
///
/// For a device that is to be known before it runs: `raet key export` writes its public part. The folder
/// is what `raet listen --keep` and `raet send --keep` take, and a 0.6.8 stack too.
#[derive(Args)]
pub(super) struct Gen {
    /// The estate's name, unique on its road
    name: String,

    /// The folder of the keep, which is made
    #[arg(long, value_name = "DIR", env = "RAET_KEEP", hide_env_values = true)]
    keep: PathBuf,

    /// The role that bears the keys; the estate's name unless given
    #[arg(long)]
    role: Option<String>,

    /// Where the estate will listen
    #[arg(long, value_name = "ADDR:PORT", default_value = "[::]:7530")]
    bind: String,

    #[command(flatten)]
    form: Form,
}

impl Gen {
    pub(super) fn run(self) -> Result<u8, Problem> {
        let secrets = Secrets::new(&random()?, &random()?);
        let role = self.role.unwrap_or_else(|| self.name.clone());
        create(&self.keep, self.name, role, &self.bind, secrets, &self.form)
    }
}

/// Makes the estate and tells whose keys it has.
fn create(
    folder: &Path,
    name: String,
    role: String,
    bind: &str,
    secrets: Secrets,
    form: &Form,
) -> Result<u8, Problem> {
    let bind = *resolve(bind)?
        .first()
        .ok_or_else(|| Problem::usage("no address to bind to"))?;
    let mut keep = FileKeep::open(folder, KeepOptions::default()).map_err(Problem::failure)?;
    let made = keep
        .create(Identity {
            name,
            role,
            address: bind,
            bind,
            secrets,
        })
        .map_err(Problem::failure)?;
    let finger = made
        .secrets
        .public_keys(&NaclSuite::new(&[0; 32]))
        .fingerprint();
    if form.json {
        let told = json!({ "name": made.name, "role": made.role, "finger": finger.to_string() });
        print(&told.to_string());
    } else {
        print(&format!(
            "made {} in {} (keys {finger})",
            made.name,
            folder.display()
        ));
    }
    Ok(SUCCESS)
}

fn random() -> Result<[u8; 32], Problem> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Problem::failure(format!("the system gives no randomness: {error}")))?;
    Ok(bytes)
}

/// Write the public part of keys, for another host to import
///
/// Of this estate's own keys, or of a role that is known here. Nothing in it is secret; that it comes
/// unchanged is what matters.
#[derive(Args)]
pub(super) struct Export {
    /// A role that is known here; this estate's own unless given
    role: Option<String>,

    /// Write to this new file, not to stdout
    #[arg(long, short, value_name = "FILE", required_if_eq("secret", "true"))]
    out: Option<PathBuf>,

    /// Write this estate's secret keys, to a new file that only you can read: to move the estate to
    /// another host. Two estates with the same keys are one estate too many
    #[arg(long, conflicts_with = "role")]
    secret: bool,

    #[command(flatten)]
    at: Where,
}

/// What a file of keys says: one of ours, or a role's file of a 0.6.8 keep.
#[derive(Serialize, Deserialize)]
struct PublicFile {
    role: String,
    verhex: String,
    pubhex: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finger: Option<String>,
}

/// The same of secret ones.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct SecretFile {
    role: String,
    sighex: String,
    prihex: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl Export {
    pub(super) fn run(self) -> Result<u8, Problem> {
        let store = Store::open(&self.at)?;
        if self.secret {
            return self.secret(&store.stopped("its secrets are its own")?);
        }
        let (role, keys) = match &self.role {
            None => {
                let own = store.own()?;
                (own.role, own.keys)
            }
            Some(role) => {
                let found = chosen(&store.roles()?, std::slice::from_ref(role))?;
                match <[RoleReport; 1]>::try_from(found) {
                    Ok([found]) => (found.role, found.keys),
                    Err(_) => {
                        return Err(Problem::usage(format!(
                            "{role} matches more than one role: name one"
                        )));
                    }
                }
            }
        };
        let file = PublicFile {
            role,
            verhex: keys.verhex,
            pubhex: keys.pubhex,
            finger: Some(keys.finger),
        };
        let text = serde_json::to_string_pretty(&file).map_err(Problem::failure)?;
        match &self.out {
            Some(path) => write_new(path, &text, 0o644)?,
            None => print(&text),
        }
        Ok(SUCCESS)
    }

    fn secret(&self, keep: &FileKeep) -> Result<u8, Problem> {
        let Some(path) = &self.out else {
            return Err(Problem::usage("secrets go to a file: give --out FILE"));
        };
        let identity = keep.identity().ok_or_else(|| nobody(keep.folder()))?;
        let file = SecretFile {
            role: identity.role.clone(),
            sighex: text(identity.secrets.sign_seed()),
            prihex: text(identity.secrets.box_secret()),
            name: Some(identity.name.clone()),
        };
        let text = serde_json::to_string_pretty(&file).map_err(Problem::failure)?;
        write_new(path, &Zeroizing::new(text), 0o600)?;
        note(&format!(
            "{} holds secret keys: delete it once it is imported",
            path.display()
        ));
        Ok(SUCCESS)
    }
}

fn text(secret: &[u8; 32]) -> String {
    let digits = Zeroizing::new(hex::encode(secret));
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// Writes a file that was not there.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Problem> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(mode).open(path);
    opened
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        })
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Problem::failure(format!(
                "{} is there already: choose another file",
                path.display()
            )),
            _ => Problem::failure(format!("{} cannot be written: {error}", path.display())),
        })
}

/// Read keys that `raet key export` wrote, or a role's file of a 0.6.8 keep
///
/// Public ones are put down for their role, pending unless --accept is given. Secret ones become those
/// of a new estate in a keep that has none.
#[derive(Args)]
pub(super) struct Import {
    /// The file; `-` is stdin
    file: PathBuf,

    /// Accept the public keys. Asks first, unless --finger names them
    #[arg(long)]
    accept: bool,

    /// Only keys with this fingerprint, and without a question
    #[arg(long, value_name = "FINGERPRINT")]
    finger: Option<String>,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,

    /// The name of the new estate, with secret keys; as exported unless given
    #[arg(long)]
    name: Option<String>,

    /// Where the new estate will listen, with secret keys
    #[arg(long, value_name = "ADDR:PORT", default_value = "[::]:7530")]
    bind: String,

    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    form: Form,
}

impl Import {
    pub(super) fn run(self) -> Result<u8, Problem> {
        let text = Zeroizing::new(self.read()?);
        if let Ok(file) = serde_json::from_str::<SecretFile>(&text) {
            return self.secret(&file);
        }
        let Ok(file) = serde_json::from_str::<PublicFile>(&text) else {
            return Err(Problem::failure(format!(
                "{} holds no keys: `raet key export` writes such a file",
                self.file.display()
            )));
        };
        self.public(&file)
    }

    fn read(&self) -> Result<String, Problem> {
        let told =
            |error| Problem::failure(format!("{} cannot be read: {error}", self.file.display()));
        let mut text = String::new();
        if self.file.as_os_str() == "-" {
            io::stdin()
                .lock()
                .take(LONGEST)
                .read_to_string(&mut text)
                .map_err(told)?;
        } else {
            let file = fs::File::open(&self.file).map_err(told)?;
            file.take(LONGEST).read_to_string(&mut text).map_err(told)?;
        }
        Ok(text)
    }

    fn public(&self, file: &PublicFile) -> Result<u8, Problem> {
        let keys = raet_std::core::crypto::PublicKeys::from_hex(&file.verhex, &file.pubhex)
            .map_err(|error| {
                Problem::failure(format!("{} holds no keys: {error}", self.file.display()))
            })?;
        let keys = Keys::from(&keys);
        if let Some(finger) = &self.finger
            && !is(&keys, finger)
        {
            return Err(Problem::failure(format!(
                "{} holds keys {}, not {finger}: nothing is imported",
                self.file.display(),
                keys.finger
            )));
        }
        let mut store = Store::open(&self.at)?;
        let status = if self.accept {
            if !self.yes && self.finger.is_none() {
                confirm_keys(std::iter::once((&keys, file.role.as_str())))?;
            }
            Standing::Accepted
        } else {
            // What somebody decided about the very same keys stays.
            let roles = store.roles()?;
            let held = roles
                .iter()
                .find(|role| role.role == file.role && role.keys == keys);
            held.map_or(Standing::Pending, |held| held.status)
        };
        let mut told = Told::default();
        match store.introduce(&file.role, status, &keys) {
            Ok(stored) => told.done(&file.role, status.as_str(), Some(&keys), stored),
            Err(why) => told.failed(&file.role, &why.text),
        }
        Ok(told.finish(self.form.json))
    }

    fn secret(&self, file: &SecretFile) -> Result<u8, Problem> {
        if self.accept || self.finger.is_some() {
            return Err(Problem::usage(format!(
                "{} holds secret keys: they become an estate's own, and nobody is to accept them here",
                self.file.display()
            )));
        }
        if fs::metadata(&self.file).is_ok_and(|found| found.mode() & 0o077 != 0) {
            note(&format!(
                "{} can be read by others: they may have these keys",
                self.file.display()
            ));
        }
        let Some(folder) = &self.at.keep else {
            return Err(Problem::usage("where to? Give --keep DIR"));
        };
        let secrets = Secrets::from_hex(&file.sighex, &file.prihex).map_err(|error| {
            Problem::failure(format!("{} holds no keys: {error}", self.file.display()))
        })?;
        let name = self.name.as_ref().or(file.name.as_ref());
        let name = name.unwrap_or(&file.role).clone();
        let role = file.role.clone();
        create(folder, name, role, &self.bind, secrets, &self.form)
    }
}
