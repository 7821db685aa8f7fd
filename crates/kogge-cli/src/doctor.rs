//! `doctor`: checks a registry step by step, as `az acr check-health` does, and names failures by its error ids where
//! it has one.

mod check;
mod connection;

use kogge_types::{Reference, RepositoryName};
use reqwest::{Method, StatusCode};

use self::check::{Check, Checkup};
use crate::args::DoctorArgs;
use crate::client::authorizer::Scopes;
use crate::client::{Client, Request};
use crate::context::Context;
use crate::credentials::credential_file::CredentialFile;
use crate::credentials::helper::Helper;
use crate::credentials::{Credential, is_on_path};
use crate::error::{Error, Kind, Result, printable};
use crate::image_reference::RegistryHost;

pub(crate) async fn run(args: DoctorArgs, ctx: &Context) -> Result<()> {
    let host = &args.registry.registry;
    let mut checkup = Checkup::default();
    let credential = check_login(&mut checkup, host, ctx).await;
    if connection::check(&mut checkup, host, &ctx.transport).await {
        match Client::connect(host.clone(), &ctx.transport, credential.clone()).await {
            Ok(client) => check_use(&mut checkup, &client, credential.as_ref(), args.repository).await,
            Err(error) => checkup.fail(Check::of("client", "LOGIN_SERVER_ERROR"), &error, Kind::Network),
        }
    }
    ctx.output.print(|| checkup.table(), &checkup.checks())?;
    checkup.verdict(host)
}

/// The files that hold logins, the helpers that they name, and the login for this registry.
async fn check_login(checkup: &mut Checkup, host: &RegistryHost, ctx: &Context) -> Option<Credential> {
    for path in ctx.credentials.places().files() {
        let shown = path.display().to_string();
        let check = Check::of("credential file", "DOCKER_CREDENTIALS_ERROR");
        match CredentialFile::read(&path) {
            Ok(None) => {}
            Err(error) => checkup.fail(check, &error, Kind::General),
            Ok(Some(file)) => {
                checkup.ok(check, shown);
                for name in file.helpers() {
                    check_helper(checkup, &Helper::new(&name));
                }
            }
        }
    }
    let check = Check::of("login", "DOCKER_CREDENTIALS_ERROR");
    match ctx.login(host, None).await {
        Ok(Some(credential)) => {
            checkup.ok(check, format!("as {}", printable(credential.user())));
            Some(credential)
        }
        Ok(None) => {
            checkup.warn(check, "none is kept; going on without".to_owned(), format!("run `kogge login {host}`"));
            None
        }
        Err(error) => {
            checkup.fail(check, &error, Kind::General);
            None
        }
    }
}

fn check_helper(checkup: &mut Checkup, helper: &Helper) {
    let check = Check::of("credential helper", "DOCKER_CREDENTIALS_ERROR");
    let program = helper.program();
    if is_on_path(program) {
        checkup.ok(check, program.to_owned());
    } else {
        let hint = "install it, or take it out of the credential file (credsStore, credHelpers)";
        checkup.warn(check, format!("{program} is not on PATH"), hint.to_owned());
    }
}

/// What a client does with the registry: gets a token, lists, pulls.
async fn check_use(
    checkup: &mut Checkup,
    client: &Client,
    credential: Option<&Credential>,
    repository: Option<RepositoryName>,
) {
    let id = match credential {
        Some(Credential::RefreshToken { .. }) => "CONNECTIVITY_REFRESH_TOKEN_ERROR",
        _ => "CONNECTIVITY_ACCESS_TOKEN_ERROR",
    };
    let check = Check::of("token", id);
    match client.ping().await {
        Ok(()) => checkup.ok(check, "/v2/ opens".to_owned()),
        Err(error) if error.kind == Kind::Denied && credential.is_none() => {
            checkup.warn(check, "not without a login".to_owned(), format!("run `kogge login {}`", client.host()));
        }
        Err(error) => checkup.fail(check, &error, Kind::Denied),
    }
    let first = check_catalog(checkup, client).await;
    match repository.or(first) {
        Some(repository) => check_pull(checkup, client, &repository).await,
        None => checkup.skip("pull", "no repository is known; name one with --repository"),
    }
}

async fn check_catalog(checkup: &mut Checkup, client: &Client) -> Option<RepositoryName> {
    let check = Check::of("catalog", "CATALOG_ERROR");
    match first_of_catalog(client).await {
        Ok(Some(name)) => {
            checkup.ok(check, format!("lists, {} first", printable(&name)));
            name.parse().ok()
        }
        Ok(None) => {
            checkup.ok(check, "lists, and is empty".to_owned());
            None
        }
        Err(error) if matches!(error.kind, Kind::Denied | Kind::NotFound) => {
            let hint = "listing repositories needs a permission of its own; pulling and pushing do not need it";
            checkup.warn(check, error.chain(), hint.to_owned());
            None
        }
        Err(error) => {
            checkup.fail(check, &error, Kind::General);
            None
        }
    }
}

async fn first_of_catalog(client: &Client) -> Result<Option<String>> {
    let names = client.catalog().next_names().await?;
    Ok(names.and_then(|page| page.into_iter().next()))
}

async fn check_pull(checkup: &mut Checkup, client: &Client, repository: &RepositoryName) {
    let check = Check::of("pull", "DOCKER_PULL_ERROR");
    match try_pull(client, repository).await {
        Ok(Some(tag)) => checkup.ok(check, format!("{repository}:{tag} can be pulled")),
        Ok(None) => checkup.skip("pull", &format!("{repository} has no tags")),
        Err(error) => checkup.fail(check, &error, Kind::Denied),
    }
}

/// Reads the manifest of the repository's first tag.
async fn try_pull(client: &Client, repository: &RepositoryName) -> Result<Option<String>> {
    let Some(tag) = client.tags(repository).next_names().await?.and_then(|page| page.into_iter().next()) else {
        return Ok(None);
    };
    let parsed = tag.parse().map_err(|_| Error::general(format!("{repository} has a tag that is not valid")))?;
    let content = client.manifest(repository, &Reference::Tag(parsed)).await?;
    // One blob shows that downloads, which may be redirected to another host, work too.
    let manifest = kogge_types::Manifest::parse(&content.media_type, &content.bytes).ok();
    if let Some(blob) = manifest.and_then(|own| own.blobs.into_iter().min_by_key(|blob| blob.size)) {
        let action = format!("get the blob {} of {repository}", blob.digest);
        let url = client.repository_url(repository, &format!("blobs/{}", blob.digest));
        let request = Request::new(Method::GET, url, Scopes::pull(repository));
        client.expect(client.execute(&request, &action).await?, &[StatusCode::OK], &action).await?;
    }
    Ok(Some(tag))
}
