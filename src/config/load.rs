//! The layers and their order: built-in defaults, the file, what a demo left in the data directory, the environment, the
//! program.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use toml::Value;

use super::{
    environment,
    model::Config,
    problem::{ConfigError, Origin, Problem},
    read,
    tree::{Kind, Node, Table, find, lay, parse, put, report_twins},
};

/// `config.toml` of the repository: the documentation of every key is the source of its default.
pub const DEFAULTS: &str = include_str!("../../config.toml");

/// The file that is read when none is named and it exists.
const USUAL_FILE: &str = "config.toml";

/// What `kopru demo` leaves in its data directory, so that other commands and daemons on that directory know the simulated
/// systems. Its connectors and its mail server replace those of the file: a demo never meets a real system.
pub const DEMO_FILE: &str = "demo.toml";

/// Where a configuration is taken from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    program: Table,
}

impl Sources {
    /// Of this process: the named file, or `./config.toml` if there is one, under the environment.
    pub fn of_process(file: Option<PathBuf>) -> Sources {
        let usual = || Path::new(USUAL_FILE).is_file().then(|| PathBuf::from(USUAL_FILE));
        Sources { file: file.or_else(usual), environment: environment::variables(), program: Table::new() }
    }

    /// Nothing but the defaults; for tests, which add to it.
    pub fn none() -> Sources {
        Sources::default()
    }

    pub fn file(mut self, path: impl Into<PathBuf>) -> Sources {
        self.file = Some(path.into());
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Sources {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A value that the program itself decides, above everything else: `("http.listen", "127.0.0.1:0")`.
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Sources {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        put(&mut self.program, &path, Node::leaf(Origin::Program, value.into()));
        self
    }

    /// The file that is read, if any.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl Config {
    pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
        Config::load_checked(sources, |_| Vec::new())
    }

    /// The same, judged by somebody who knows more of some part of it: what they find is told together with the rest.
    pub fn load_checked(sources: &Sources, check: impl FnOnce(&Config) -> Vec<Problem>) -> Result<Config, ConfigError> {
        let mut problems = Vec::new();
        let mut tree = parse(DEFAULTS, None, &mut problems);
        if let Some(path) = &sources.file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                ConfigError::one(format!("cannot read {}: {error}; name another file with --config", path.display()))
            })?;
            let file = parse(&text, Some(&path.display().to_string()), &mut problems);
            report_twins(&file, "", &mut problems);
            lay(&mut tree, file);
        }
        if let Some(demo) = demo_layer(sources, &tree, &mut problems)? {
            // Every key of [mail] is in the demo's layer: no password of the file goes to a simulated server.
            tree.remove("connectors");
            lay(&mut tree, demo);
        }
        let environment = environment::layer(&sources.environment, &tree, &mut problems);
        report_twins(&environment, "", &mut problems);
        lay(&mut tree, environment);
        lay(&mut tree, sources.program.clone());
        let (judged, whole) = match read::config(tree, &mut problems) {
            Ok(config) => (config, true),
            // The connectors are judged all the same, in a configuration that is otherwise the default.
            Err(connectors) => (Config { connectors, ..Config::load(&Sources::none())? }, false),
        };
        let found = check(&judged);
        // A secret whose file could not be read is not missing as well.
        let unread: Vec<String> = problems.iter().map(|problem| problem.key.clone()).collect();
        problems.extend(found.into_iter().filter(|problem| !unread.contains(&format!("{}_file", problem.key))));
        if whole && problems.is_empty() { Ok(judged) } else { Err(ConfigError(problems)) }
    }
}

fn demo_layer(sources: &Sources, file: &Table, problems: &mut Vec<Problem>) -> Result<Option<Table>, ConfigError> {
    // The layers above say as well where the data directory is; what is wrong with them is told when they are laid.
    let mut above = file.clone();
    lay(&mut above, environment::layer(&sources.environment, file, &mut Vec::new()));
    lay(&mut above, sources.program.clone());
    let dir = find(&above, &["data".to_owned(), "dir".to_owned()]);
    let Some(Node { kind: Kind::Leaf(Value::String(dir)), .. }) = dir else { return Ok(None) };
    let path = Path::new(dir).join(DEMO_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(parse(&text, Some(&path.display().to_string()), problems))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(ConfigError::one(format!("cannot read {}: {error}; give it to this user", path.display()))),
    }
}
