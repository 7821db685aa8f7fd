"""azure-mgmt-containerregistry: a registry from its creation to its deletion, with tokens, scope maps and credentials.

Arguments: address of the management API, subscription, name of a registry to make, application, secret.
"""

import sys
from datetime import datetime, timedelta, timezone

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.containerregistry import ContainerRegistryManagementClient

GROUP = "default"


def client_of(base, subscription, application, secret):
    domain = base.removeprefix("https://")
    # The authority is of the kind whose tenant is always "adfs"; it needs no other host to be found.
    credential = ClientSecretCredential(
        "adfs", application, secret, authority=base, disable_instance_discovery=True
    )
    return ContainerRegistryManagementClient(
        credential,
        subscription,
        base_url=base,
        credential_scopes=[f"https://management.{domain}/.default"],
    )


def refused(call, kind=HttpResponseError):
    try:
        call()
    except kind as error:
        assert error.error is not None and error.error.code, error
        return error
    raise AssertionError("a call succeeded that should not have")


def registries(client, name):
    wanted = {"name": name, "type": "Microsoft.ContainerRegistry/registries"}
    assert client.registries.check_name_availability(wanted).name_available
    parameters = {
        "location": "home",
        "sku": {"name": "Premium"},
        "tags": {"env": "test"},
        "properties": {"adminUserEnabled": False},
    }
    made = client.registries.begin_create(GROUP, name, parameters).result()
    assert made.provisioning_state == "Succeeded", made
    assert made.name == name and made.tags == {"env": "test"}, made
    taken = client.registries.check_name_availability(wanted)
    assert not taken.name_available and taken.reason == "AlreadyExists", taken
    assert client.registries.get(GROUP, name).id == made.id
    assert made.id in [item.id for item in client.registries.list()]
    assert made.id in [item.id for item in client.registries.list_by_resource_group(GROUP)]
    changed = client.registries.begin_update(
        GROUP, name, {"tags": {"env": "changed"}, "properties": {"adminUserEnabled": True}}
    ).result()
    assert changed.admin_user_enabled and changed.tags == {"env": "changed"}, changed
    assert "Size" in [usage.name for usage in client.registries.list_usages(GROUP, name).value]
    refused(
        lambda: client.registries.begin_update(GROUP, name, {"properties": {"dataEndpointEnabled": True}}).result()
    )
    refused(lambda: client.registries.begin_create(GROUP, "no_name", parameters).result())
    return made


def credentials(client, name):
    before = client.registries.list_credentials(GROUP, name)
    assert before.username == name, before
    renewed = client.registries.regenerate_credential(GROUP, name, {"name": "password"})
    old, new = ({item.name: item.value for item in result.passwords} for result in (before, renewed))
    assert old["password"] != new["password"] and old["password2"] == new["password2"]


def scope_maps(client, name):
    actions = ["repositories/team/app/content/read", "repositories/team/app/content/write"]
    made = client.scope_maps.begin_create(
        GROUP, name, "teammap", {"properties": {"description": "a team", "actions": actions}}
    ).result()
    assert sorted(made.actions) == sorted(actions) and made.description == "a team", made
    changed = client.scope_maps.begin_update(GROUP, name, "teammap", {"properties": {"actions": actions[:1]}}).result()
    assert changed.actions == actions[:1] and changed.description == "a team", changed
    names = [item.name for item in client.scope_maps.list(GROUP, name)]
    assert "teammap" in names and "_repositories_pull" in names, names
    refused(
        lambda: client.scope_maps.begin_create(
            GROUP, name, "wrong", {"properties": {"actions": ["repositories/team/app/content/fly"]}}
        ).result()
    )
    return made


def tokens(client, name, scope_map):
    made = client.tokens.begin_create(
        GROUP, name, "robot", {"properties": {"scopeMapId": scope_map.id, "status": "enabled"}}
    ).result()
    assert made.scope_map_id == scope_map.id and made.status == "enabled", made
    expiry = datetime.now(timezone.utc) + timedelta(days=1)
    generated = client.registries.begin_generate_credentials(
        GROUP, name, {"tokenId": made.id, "name": "password1", "expiry": expiry}
    ).result()
    assert generated.username == "robot", generated
    assert [item.name for item in generated.passwords if item.value] == ["password1"], generated
    shown = client.tokens.get(GROUP, name, "robot")
    assert [item.name for item in shown.credentials.passwords] == ["password1"], shown
    assert not any(item.value for item in shown.credentials.passwords), "a password is shown once"
    disabled = client.tokens.begin_update(GROUP, name, "robot", {"properties": {"status": "disabled"}}).result()
    assert disabled.status == "disabled" and disabled.scope_map_id == scope_map.id, disabled
    assert [item.name for item in client.tokens.list(GROUP, name)] == ["robot"]
    client.tokens.begin_delete(GROUP, name, "robot").result()
    refused(lambda: client.tokens.get(GROUP, name, "robot"), ResourceNotFoundError)


def main(base, subscription, name, application, secret):
    client = client_of(base, subscription, application, secret)
    registries(client, name)
    credentials(client, name)
    tokens(client, name, scope_maps(client, name))
    client.scope_maps.begin_delete(GROUP, name, "teammap").result()
    refused(lambda: client.scope_maps.get(GROUP, name, "teammap"), ResourceNotFoundError)
    client.registries.begin_delete(GROUP, name).result()
    refused(lambda: client.registries.get(GROUP, name), ResourceNotFoundError)
    # What is gone can be deleted once more.
    client.registries.begin_delete(GROUP, name).result()


main(*sys.argv[1:])
