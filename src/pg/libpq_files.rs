//! libpq's files: services and passwords.
//!
//! Source: PostgreSQL 18's manual, chapter "libpq - C Library", sections "The Password File" and "The Connection
//! Service File".

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::address_error::{BadAddress, Given};

/// The parameters of a service, each with its value and the name of their origin for errors.
pub(super) fn service(
    service: &Given,
    file: Option<&str>,
    variables: &BTreeMap<String, String>,
) -> Result<Vec<(String, String, String)>, BadAddress> {
    let of_system = variables.get("PGSYSCONFDIR").map(|dir| Path::new(dir).join("pg_service.conf"));
    let of_user = file.map(PathBuf::from).or_else(|| in_home(variables, ".pg_service.conf"));
    // A named file must exist.
    if let Some(file) = file.filter(|file| !Path::new(file).is_file()) {
        return Err(BadAddress::Unreadable {
            file: file.into(),
            reason: "the service file does not exist".into(),
        });
    }
    for file in [of_user, of_system].into_iter().flatten().filter(|file| file.is_file()) {
        let unreadable =
            |error: std::io::Error| BadAddress::Unreadable { file: file.clone(), reason: error.to_string() };
        // Other services may be in another encoding.
        let text = String::from_utf8_lossy(&fs::read(&file).map_err(unreadable)?).into_owned();
        let by = format!("the service `{}` in `{}`", service.value, file.display());
        if let Some(pairs) = section(&text, &service.value, &by)? {
            return Ok(pairs.into_iter().map(|(name, value)| (name, value, by.clone())).collect());
        }
    }
    Err(BadAddress::NoService { by: service.by.clone(), service: service.value.clone() })
}

fn section(text: &str, service: &str, by: &str) -> Result<Option<Vec<(String, String)>>, BadAddress> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    // What follows the bracket has no meaning.
    let start = format!("[{service}]");
    let mut section = lines.skip_while(|line| !line.starts_with(&start));
    if section.next().is_none() {
        return Ok(None);
    }
    let own = section.take_while(|line| !line.starts_with('['));
    let pair = |line: &str| match line.split_once('=') {
        Some(("service" | "servicefile", _)) => {
            Err(BadAddress::shape(by, "a service cannot name another service"))
        }
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(BadAddress::shape(by, "a line in it has no `=`")),
    };
    own.map(pair).collect::<Result<_, _>>().map(Some)
}

/// The login that a password is for.
pub(super) struct Login<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// The password that the file, or `~/.pgpass`, has for this login. As in libpq, a file that others may read is ignored.
pub(super) fn password(
    file: Option<&str>,
    variables: &BTreeMap<String, String>,
    login: &Login,
) -> Option<String> {
    let file = file.map(PathBuf::from).or_else(|| in_home(variables, ".pgpass"))?;
    let data = fs::metadata(&file).ok()?;
    if !data.is_file() || data.permissions().mode() & 0o077 != 0 {
        return None;
    }
    // A line that is not UTF-8 says nothing of the others.
    let text = String::from_utf8_lossy(&fs::read(file).ok()?).into_owned();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| password_in(&fields(line), login))
}

fn password_in(line: &[String], login: &Login) -> Option<String> {
    let [host, port, database, user, password] = line else { return None };
    let own_port = login.port.to_string();
    let pairs = [(host, login.host), (port, &own_port), (database, login.database), (user, login.user)];
    pairs.iter().all(|(said, own)| *said == "*" || said == own).then(|| password.clone())
}

/// The five fields of a line. `\:` and `\\` are escapes. Text after a fifth colon is ignored.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let count = fields.len();
        let field = &mut fields[count - 1];
        match character {
            '\\' => field.extend(characters.next()),
            ':' if count == 5 => break,
            ':' => fields.push(String::new()),
            other => field.push(other),
        }
    }
    fields
}

/// A file in the user's home. Without HOME, as in services and cron, the system knows it; libpq does the same.
pub(super) fn in_home(variables: &BTreeMap<String, String>, file: &str) -> Option<PathBuf> {
    let set = variables.get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    set.or_else(home_of_system).map(|home| home.join(file))
}

/// The home of the system's user.
fn home_of_system() -> Option<PathBuf> {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_must_be_private() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pass");
        fs::write(&file, "# a comment\nother:*:*:*:no\ndb:5432:shop:al\\:ice:p\\:w\\\\\n*:*:*:bob:any\n")
            .unwrap();
        let ask = |host, user| {
            let login = Login { host, port: 5432, database: "shop", user };
            password(file.to_str(), &BTreeMap::new(), &login)
        };
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(ask("db", "al:ice"), None);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(ask("db", "al:ice").as_deref(), Some("p:w\\"));
        assert_eq!(ask("x", "bob").as_deref(), Some("any"));
        assert_eq!(ask("x", "al:ice"), None);
    }

    #[test]
    fn without_home_files_are_in_the_systems_home() {
        let set = BTreeMap::from([("HOME".to_owned(), "/home/ann".to_owned())]);
        assert_eq!(in_home(&set, ".pgpass"), Some("/home/ann/.pgpass".into()));
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap();
        let own = user.map(|user| user.dir.join(".pgpass"));
        for unset in [BTreeMap::new(), BTreeMap::from([("HOME".to_owned(), String::new())])] {
            assert_eq!(in_home(&unset, ".pgpass"), own);
        }
    }

    #[test]
    fn a_service_is_one_section_of_its_file() {
        let text = "[a]\nhost=1\n\n# comment\n[b]\nhost=2\nport=3\n[c]\nservice=a\n[d]\nnonsense\n";
        let of = |service| section(text, service, "the service");
        assert_eq!(of("b").unwrap().unwrap(), [("host".into(), "2".into()), ("port".into(), "3".into())]);
        assert!(of("nope").unwrap().is_none());
        assert!(of("c").is_err() && of("d").is_err());
    }
}
