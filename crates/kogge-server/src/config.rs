//! The configuration: flags over environment over file over defaults, checked whole before anything starts.
//!
//! Three phases: the file's tables ([`raw`]), one raw structure per section whose unknown keys are errors, and the
//! checked [`Config`]. Everything that is wrong is reported at once, each problem with the path of its key. Every key
//! of the file can also be set by `KOGGE_<SECTION>_<KEY>`.

pub mod args;
pub mod audit;
pub mod database;
pub mod environment;
pub mod host;
pub mod identity;
pub mod limits;
pub mod log;
pub mod login;
pub mod problem;
pub(crate) mod quantity;
pub mod quota;
pub mod rate_limit;
mod raw;
pub mod secret;
pub mod server;
pub mod trace;
pub mod upkeep;

use std::io::IsTerminal;

use serde::Serialize;
use toml::Table;

pub use args::ServeArgs;
pub use audit::{Audit, AuditOutput};
pub use database::Database;
pub use environment::Environment;
pub use host::{ExternalUrl, Scheme};
pub use identity::Identity;
pub use limits::Limits;
pub use log::{AccessTarget, Log, LogFormat};
pub use login::Login;
pub use problem::{ConfigErrors, Problem};
pub use quota::Quota;
pub use rate_limit::RateLimit;
pub use secret::Secret;
pub use server::{Server, TlsMode};
pub use trace::Trace;
pub use upkeep::{Gc, Scrub, Uploads};

use problem::Problems;

/// The configuration in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    pub server: Server,
    pub database: Database,
    pub log: Log,
    pub login: Login,
    pub identity: Identity,
    pub limits: Limits,
    pub gc: Gc,
    pub uploads: Uploads,
    pub scrub: Scrub,
    pub rate_limit: RateLimit,
    pub quota: Quota,
    pub audit: Audit,
    pub trace: Trace,
}

impl Config {
    /// The configuration that these flags, this environment and the file they name make together.
    ///
    /// # Errors
    /// Everything that is wrong, each problem with the path of its key.
    pub fn load(args: &ServeArgs, environment: &Environment) -> Result<Self, ConfigErrors> {
        let mut problems = Problems::default();
        let file = read_file(args, &mut problems);
        let config = Self::assemble(args, environment, file, std::io::stderr().is_terminal(), &mut problems);
        problems.into_result().map(|()| config)
    }

    /// The configuration in force, as a file would have it. Secrets are written as `***`.
    pub fn render(&self) -> String {
        toml::to_string(self).expect("sections of plain values are always TOML")
    }

    fn assemble(
        args: &ServeArgs,
        environment: &Environment,
        mut file: Table,
        terminal: bool,
        problems: &mut Problems,
    ) -> Self {
        let mut server = raw::section("server", &mut file, environment, problems);
        let database = raw::section("database", &mut file, environment, problems);
        let mut log = raw::section("log", &mut file, environment, problems);
        let mut login = raw::section("login", &mut file, environment, problems);
        let identity = raw::section("identity", &mut file, environment, problems);
        let limits = raw::section("limits", &mut file, environment, problems);
        let gc = raw::section("gc", &mut file, environment, problems);
        let uploads = raw::section("uploads", &mut file, environment, problems);
        let scrub = raw::section("scrub", &mut file, environment, problems);
        let rate_limit = raw::section("rate-limit", &mut file, environment, problems);
        let quota = raw::section("quota", &mut file, environment, problems);
        let audit = raw::section("audit", &mut file, environment, problems);
        let mut trace = raw::section("trace", &mut file, environment, problems);
        for name in file.keys() {
            problems.add(name, "unknown section; there are server, database, log, login, identity, limits, gc, uploads, scrub, rate-limit, quota, audit and trace");
        }
        override_server(&mut server, args);
        override_rest(&mut log, &mut login, &mut trace, args, environment);
        let server = Server::check(server, problems);
        let domain = server.domain.clone();
        let database = Database::check(database, problems);
        if database.url.is_some() && server.key_file.is_none() {
            problems.add("server.key-file", "is needed with database.url: all nodes must have the same key");
        }
        Self {
            audit: Audit::check(audit, &server.data_dir, problems),
            server,
            database,
            log: Log::check(log, terminal, problems),
            login: Login::check(login, environment, problems),
            identity: Identity::check(identity, &domain, problems),
            limits: Limits::check(&limits, problems),
            gc: Gc::check(&gc, problems),
            uploads: Uploads::check(&uploads, problems),
            scrub: Scrub::check(&scrub),
            rate_limit: RateLimit::check(&rate_limit, problems),
            quota: Quota::check(&quota, problems),
            trace: Trace::check(trace, problems),
        }
    }
}

fn read_file(args: &ServeArgs, problems: &mut Problems) -> Table {
    let Some(path) = &args.config else { return Table::new() };
    let name = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.add(&name, format!("cannot read the configuration: {error}"));
            return Table::new();
        }
    };
    raw::parse(&text).unwrap_or_else(|error| {
        problems.add(&name, error.message());
        Table::new()
    })
}

fn override_server(server: &mut server::RawServer, args: &ServeArgs) {
    fn set<T: Clone>(target: &mut Option<T>, flag: &Option<T>) {
        if flag.is_some() {
            target.clone_from(flag);
        }
    }
    fn set_list(target: &mut Option<Vec<String>>, flag: &[String]) {
        if !flag.is_empty() {
            *target = Some(flag.to_vec());
        }
    }
    set(&mut server.data_dir, &args.data_dir);
    set(&mut server.domain, &args.domain);
    set(&mut server.region, &args.region);
    set(&mut server.tls, &args.tls);
    set(&mut server.external_url, &args.external_url);
    set_list(&mut server.listen, &args.listen);
    set_list(&mut server.trusted_proxies, &args.trusted_proxy);
    set_list(&mut server.default_hosts, &args.default_host);
    if args.insecure_http {
        server.insecure_http = Some(true);
    }
}

fn override_rest(
    log: &mut log::RawLog,
    login: &mut login::RawLogin,
    trace: &mut trace::RawTrace,
    args: &ServeArgs,
    environment: &Environment,
) {
    if args.log_format.is_some() {
        log.format.clone_from(&args.log_format);
    }
    if let Some(filter) = environment.get("KOGGE_LOG") {
        log.filter = Some(filter);
    }
    if args.anonymous_pull {
        login.anonymous_pull = Some(true);
    }
    if args.otlp_endpoint.is_some() {
        trace.otlp_endpoint.clone_from(&args.otlp_endpoint);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn load(args: &ServeArgs, environment: &Environment, file: &str) -> Result<Config, Vec<String>> {
        let mut problems = Problems::default();
        let table = raw::parse(file).expect("TOML");
        let config = Config::assemble(args, environment, table, false, &mut problems);
        problems.into_result().map(|()| config).map_err(|errors| errors.0.iter().map(Problem::to_string).collect())
    }

    fn from_file(file: &str) -> Result<Config, Vec<String>> {
        load(&ServeArgs::default(), &Environment::default(), file)
    }

    fn listening_on(address: &str) -> ServeArgs {
        ServeArgs { listen: vec![address.to_owned()], ..ServeArgs::default() }
    }

    #[test]
    fn nothing_configured_is_a_whole_configuration() {
        let config = from_file("").expect("defaults");
        assert_eq!(config.server.listen, ["127.0.0.1:5000".parse().expect("address")]);
        assert_eq!(config.server.domain, "localhost");
        assert_eq!(config.server.region, "home");
        assert_eq!(config.server.tls, TlsMode::Off);
        assert_eq!(config.log.format, LogFormat::Json);
        assert_eq!(config.login.admin_password, None);
        assert_eq!(config.gc.grace, Duration::from_secs(86_400));
    }

    #[test]
    fn every_problem_is_reported_at_once_with_its_key() {
        let file = r#"
            [server]
            domain = "a b"
            listne = ["x"]
            listen = ["localhost:5000"]
            region = "West Europe"
            [gc]
            grace = 5
            interval = "soon"
            [limits]
            max-connections = 0
            body-rate-min = "fast"
            [colour]
        "#;
        let problems = from_file(file).expect_err("many problems");
        let keys: Vec<&str> = problems.iter().filter_map(|problem| problem.split(": ").next()).collect();
        let expected = [
            "server.listne",
            "limits.body-rate-min",
            "gc.grace",
            "gc.interval",
            "colour",
            "server.domain",
            "server.listen",
            "server.region",
            "limits.max-connections",
        ];
        assert_eq!(keys, expected, "{problems:#?}");
        assert!(problems[0].contains("unknown key `listne`, expected one of"), "{}", problems[0]);
        assert!(problems[2].contains("a duration in quotes"), "{}", problems[2]);
    }

    #[test]
    fn flags_win_over_variables_and_variables_over_the_file() {
        let file = "[server]\nregion = 'file'\ndomain = 'file.example'\n[gc]\ngrace = '1h'\ninterval = '1h'\n";
        let environment = Environment::from([
            ("KOGGE_GC_GRACE", "2h"),
            ("KOGGE_SERVER_REGION", "variable"),
            ("KOGGE_LIMITS_MAX_CONNECTIONS", "7"),
            ("KOGGE_LOGIN_ANONYMOUS_PULL", "true"),
            ("KOGGE_SERVER_DEFAULT_HOSTS", "['a', 'b']"),
            ("KOGGE_LOG", "debug"),
            ("KOGGE_ADMIN_PASSWORD", "secret"),
        ]);
        let args = ServeArgs { region: Some("flag".into()), ..ServeArgs::default() };
        let config = load(&args, &environment, file).expect("good");
        assert_eq!(config.server.region, "flag");
        assert_eq!(config.server.domain, "file.example");
        assert_eq!(config.gc.grace, Duration::from_secs(7_200));
        assert_eq!(config.gc.interval, Duration::from_secs(3_600));
        assert_eq!(config.limits.max_connections, 7);
        assert!(config.login.anonymous_pull);
        assert_eq!(config.server.default_hosts, ["a", "b"]);
        assert_eq!(config.log.filter, "debug");
        assert_eq!(config.login.admin_password, Some(Secret::new("secret")));
    }

    #[test]
    fn a_database_needs_a_key_that_its_nodes_share() {
        let environment = Environment::from([("KOGGE_DATABASE_URL", "postgres://kogge:hunter2@db/kogge")]);
        let problems = load(&ServeArgs::default(), &environment, "").expect_err("no key");
        assert!(problems[0].starts_with("server.key-file: is needed"), "{problems:?}");
        let config = load(&ServeArgs::default(), &environment, "[server]\nkey-file = 'k'").expect("good");
        assert!(!config.render().contains("hunter2"), "{}", config.render());
        assert!(from_file("[database]\nurl = 'mysql://db'\n[server]\nkey-file = 'k'").is_err());
    }

    #[test]
    fn a_variable_that_names_no_key_is_a_problem() {
        let problems = load(&ServeArgs::default(), &Environment::from([("KOGGE_GC_GRASE", "2h")]), "");
        let problems = problems.expect_err("no such key");
        assert!(problems[0].starts_with("KOGGE_GC_GRASE: unknown key `grase`"), "{problems:?}");
    }

    #[test]
    fn plain_http_beyond_loopback_must_be_meant() {
        let none = Environment::default();
        for open in ["0.0.0.0:5000", "[::]:5000", "192.0.2.1:5000"] {
            let problems = load(&listening_on(open), &none, "").expect_err(open);
            assert!(problems[0].contains("--insecure-http"), "{problems:?}");
            for allowed in
                ["tls = 'auto'", "tls = 'a.pem,b.pem'", "trusted-proxies = ['10.0.0.0/8']", "insecure-http = true"]
            {
                assert!(load(&listening_on(open), &none, &format!("[server]\n{allowed}")).is_ok(), "{open} {allowed}");
            }
        }
        for closed in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:5000", "[::ffff:127.0.0.1]:5000"] {
            assert!(load(&listening_on(closed), &none, "").is_ok(), "{closed}");
        }
    }

    #[test]
    fn traces_go_over_plain_http_only() {
        let problems = from_file("[trace]\notlp-endpoint = 'https://collector:4318'").expect_err("https");
        assert!(problems[0].contains("only http://"), "{problems:?}");
        let config = from_file("[trace]\notlp-endpoint = 'http://collector:4318'").expect("http");
        assert_eq!(config.trace.otlp_endpoint.map(|url| url.to_string()).as_deref(), Some("http://collector:4318"));
    }

    #[test]
    fn what_is_shown_can_be_read_back_and_shows_no_secret() {
        let environment = Environment::from([("KOGGE_ADMIN_PASSWORD", "hunter2")]);
        let file =
            "[server]\nexternal-url = 'https://r.example.com'\ntls = 'c.pem,k.pem'\ntrusted-proxies = ['10.0.0.1']";
        let config = load(&ServeArgs::default(), &environment, file).expect("good");
        let shown = config.render();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("admin-password = \"***\""), "{shown}");
        let mut again = from_file(&shown).expect("readable");
        again.login.admin_password.clone_from(&config.login.admin_password);
        assert_eq!(again, config);
    }

    #[test]
    fn the_example_is_the_default_configuration() {
        let example = include_str!("../../../config/kogge.example.toml");
        let uncommented: String =
            example.lines().map(|line| line.strip_prefix("#! ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
        assert_eq!(from_file(example), from_file(""));
        assert!(from_file(&uncommented).is_ok(), "{:?}", from_file(&uncommented));
    }

    #[test]
    fn flags_parse() {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            args: ServeArgs,
        }
        let words =
            ["serve", "--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--tls", "auto", "--trusted-proxy", "::1"];
        let args = <Command as clap::Parser>::try_parse_from(words).expect("flags").args;
        let config = load(&args, &Environment::default(), "").expect("good");
        assert_eq!(config.server.listen.len(), 2);
        assert_eq!(config.server.tls, TlsMode::Auto);
        assert_eq!(config.server.trusted_proxies.len(), 1);
    }
}
