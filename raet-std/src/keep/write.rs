//! Files written whole, and the log that lies beside.

use std::path::{Path, PathBuf};

use raet_core::wire::Name;
use serde::Serialize;
use zeroize::Zeroizing;

use super::beside::{self, Line, Own};
use super::error::KeepError;
use super::file::FileKeep;
use super::form::Form;
use super::held::HeldRole;
use super::layout::{
    EstateFile, KeysFile, RoleFile, estate_path, keys_path, remote_path, role_path,
};
use super::load::Found;

/// Lines of a log that may count no more, beside as many as do.
const SPARE_LINES: usize = 1024;

/// How the name of a file ends that is being written.
pub(super) const UNFINISHED: &str = ".tmp";

impl FileKeep {
    /// Writes everything that is in another form than the keep's own in that, then removes the other:
    /// what was older could pass for the newer one once a clock was set back.
    pub(super) fn convert(
        &mut self,
        estate: &Found<EstateFile>,
        keys: &Found<KeysFile>,
    ) -> Result<(), KeepError> {
        let form = self.form;
        let foreign = |held: Option<Form>, both| held.is_some() && (both || held != Some(form));
        let (mut roles, mut remotes, mut old) = (Vec::new(), Vec::new(), Vec::new());
        if foreign(Some(keys.form), keys.both) {
            self.replace([(keys_path(&self.root, form), self.bytes(&keys.content)?)])?;
            old.push(keys_path(&self.root, form.other()));
        }
        if foreign(Some(estate.form), estate.both) {
            let bytes = self.bytes(&estate.content)?;
            self.replace([(estate_path(&self.root, form), bytes)])?;
            old.push(estate_path(&self.root, form.other()));
        }
        for (name, held) in self
            .roles
            .iter()
            .filter(|(_, held)| foreign(held.form, held.both))
        {
            let Some(record) = &held.record else { continue };
            roles.push((
                role_path(&self.root, name, form),
                self.bytes(&RoleFile::new(record))?,
            ));
            old.push(role_path(&self.root, name, form.other()));
        }
        for (name, held) in self
            .remotes
            .iter()
            .filter(|(_, held)| foreign(held.form, held.both))
        {
            remotes.push((remote_path(&self.root, name, form), self.bytes(&held.file)?));
            old.push(remote_path(&self.root, name, form.other()));
        }
        self.replace(roles)?;
        self.replace(remotes)?;
        for path in old {
            self.files.remove(&path).map_err(KeepError::io(&path))?;
        }
        Ok(())
    }

    /// Writes the roles whose damaged files were set aside: the next one to open the keep would not see
    /// that they were.
    pub(super) fn restore_roles(&mut self) -> Result<(), KeepError> {
        let form = self.form;
        let lost = |held: &HeldRole| held.form.is_none() && !held.alone;
        let mut files = Vec::new();
        for (name, held) in self.roles.iter().filter(|(_, held)| lost(held)) {
            if let Some(record) = &held.record {
                let bytes = self.bytes(&RoleFile::new(record))?;
                files.push((role_path(&self.root, name, form), bytes));
            }
        }
        self.replace(files)?;
        for held in self.roles.values_mut().filter(|held| lost(held)) {
            held.form = Some(form);
        }
        Ok(())
    }

    pub(super) fn append(&mut self, lines: &[Line]) -> Result<(), KeepError> {
        if lines.is_empty() {
            return Ok(());
        }
        let live = self.remotes.len() + self.roles.len();
        let Some(count) = self.lines.filter(|count| *count < 2 * live + SPARE_LINES) else {
            return self.rewrite_log();
        };
        let path = beside::log_path(&self.root);
        let mut bytes = Vec::new();
        for line in lines {
            beside::encode(line, &mut bytes).map_err(unwritten(&path))?;
        }
        // Until it is sure that all of them are there, the next ones would follow on half a line.
        self.lines = None;
        self.files
            .append(&path, &bytes)
            .map_err(KeepError::io(&path))?;
        self.lines = Some(count + lines.len());
        Ok(())
    }

    /// A log of what counts alone.
    pub(super) fn rewrite_log(&mut self) -> Result<(), KeepError> {
        let path = beside::log_path(&self.root);
        let mut bytes = Vec::new();
        let roles = self.roles.values().filter_map(HeldRole::line);
        let remotes = self.remotes.values().map(|held| self.remote_line(held));
        let mut count = 0;
        for line in roles.chain(remotes) {
            beside::encode(&line, &mut bytes).map_err(unwritten(&path))?;
            count += 1;
        }
        self.lines = None;
        self.replace([(path, bytes)])?;
        self.lines = Some(count);
        Ok(())
    }

    pub(super) fn write_own(&mut self, own: Own) -> Result<(), KeepError> {
        let path = beside::own_path(&self.root);
        let mut bytes = Vec::new();
        beside::encode(&own, &mut bytes).map_err(unwritten(&path))?;
        self.replace([(path, bytes)])?;
        self.own = own;
        Ok(())
    }

    pub(super) fn bytes<T: Serialize>(&self, content: &T) -> Result<Vec<u8>, KeepError> {
        self.form.write(content).map_err(unwritten(&self.root))
    }

    /// Replaces files of one folder, durably: the bytes of all, then the names of all.
    pub(super) fn replace(
        &mut self,
        files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>,
    ) -> Result<(), KeepError> {
        let (mut written, mut names) = (Vec::new(), Vec::new());
        for (path, bytes) in files {
            let mut unfinished = path.clone().into_os_string();
            unfinished.push(UNFINISHED);
            written.push((PathBuf::from(unfinished), Zeroizing::new(bytes)));
            names.push(path);
        }
        let Some(folder) = names.first().and_then(|path| path.parent()) else {
            return Ok(());
        };
        self.files.write(&written).map_err(KeepError::io(folder))?;
        for ((unfinished, _), path) in written.iter().zip(&names) {
            self.files
                .rename(unfinished, path)
                .map_err(KeepError::io(path))?;
        }
        self.files
            .sync_folder(folder)
            .map_err(KeepError::io(folder))
    }

    pub(super) fn remove_files(
        &mut self,
        folder: &str,
        names: &[&Name],
        path: fn(&Path, &str, Form) -> PathBuf,
    ) -> Result<(), KeepError> {
        for name in names {
            for form in Form::ALL {
                let path = path(&self.root, name, form);
                self.files.remove(&path).map_err(KeepError::io(&path))?;
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        let folder = self.root.join(folder);
        self.files
            .sync_folder(&folder)
            .map_err(KeepError::io(&folder))
    }
}

fn unwritten(path: &Path) -> impl FnOnce(serde_json::Error) -> KeepError {
    let path = path.to_owned();
    move |error| KeepError::Io {
        path,
        source: error.into(),
    }
}
