"""Both libraries in the hands of a reader: all may be seen, nothing changed.

Arguments: address of a registry that holds `team/app:v1`, address of the management API, subscription, name of the
registry, application, secret.
"""

import io
import sys

from azure.containerregistry import ContainerRegistryClient
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.mgmt.containerregistry import ContainerRegistryManagementClient

GROUP = "default"
REPOSITORY = "team/app"


def refused(call, *statuses):
    try:
        call()
    except HttpResponseError as error:
        assert error.status_code in statuses, error
        return error
    raise AssertionError("a call succeeded that should not have")


def images(client):
    assert list(client.list_repository_names()) == [REPOSITORY]
    tag = client.get_tag_properties(REPOSITORY, "v1")
    assert client.get_manifest(REPOSITORY, "v1").digest == tag.digest
    assert [manifest.digest for manifest in client.list_manifest_properties(REPOSITORY)] == [tag.digest]
    for change in (
        lambda: client.upload_blob(REPOSITORY, io.BytesIO(b"x")),
        lambda: client.update_tag_properties(REPOSITORY, "v1", can_delete=False),
        lambda: client.update_repository_properties(REPOSITORY, can_delete=False),
        lambda: client.delete_tag(REPOSITORY, "v1"),
        lambda: client.delete_manifest(REPOSITORY, tag.digest),
        lambda: client.delete_repository(REPOSITORY),
    ):
        refused(change, 401, 403)


def management(client, name):
    assert [item.name for item in client.registries.list()] == [name]
    shown = client.registries.get(GROUP, name)
    assert shown.login_server.startswith(f"{name}."), shown
    assert "_repositories_pull" in [item.name for item in client.scope_maps.list(GROUP, name)]
    assert list(client.tokens.list(GROUP, name)) == []
    registry = {"location": "home", "sku": {"name": "Basic"}}
    robot = {"properties": {"scopeMapId": f"{shown.id}/scopeMaps/_repositories_pull"}}
    for change in (
        lambda: client.registries.begin_update(GROUP, name, {"tags": {"a": "b"}}).result(),
        lambda: client.registries.list_credentials(GROUP, name),
        lambda: client.registries.begin_create(GROUP, "another", registry).result(),
        lambda: client.tokens.begin_create(GROUP, name, "robot", robot).result(),
        lambda: client.registries.begin_delete(GROUP, name).result(),
    ):
        error = refused(change, 403)
        assert error.error.code == "AuthorizationFailed", error


def main(server, base, subscription, name, application, secret):
    credential = ClientSecretCredential("adfs", application, secret, authority=base, disable_instance_discovery=True)
    with ContainerRegistryClient(server, credential) as client:
        images(client)
    domain = base.removeprefix("https://")
    scopes = [f"https://management.{domain}/.default"]
    with ContainerRegistryManagementClient(credential, subscription, base_url=base, credential_scopes=scopes) as client:
        management(client, name)


main(*sys.argv[1:])
