"""azure-containerregistry: all that the library can do to a registry, by one who may.

Arguments: address of the registry, address of the authority, application, secret.
"""

import hashlib
import io
import sys

from azure.containerregistry import ArtifactManifestOrder, ArtifactTagOrder, ContainerRegistryClient
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential

REPOSITORY = "team/app"
# More than one of the library's chunks of 4 MiB.
BLOB = b"kogge" * 1_000_000


def refused(call, status):
    try:
        call()
    except HttpResponseError as error:
        assert error.status_code == status, error
        return
    raise AssertionError("a call succeeded that should not have")


def push(client, tag, content):
    config_digest, config_size = client.upload_blob(REPOSITORY, io.BytesIO(b"{}"))
    digest, size = client.upload_blob(REPOSITORY, io.BytesIO(content))
    assert digest == "sha256:" + hashlib.sha256(content).hexdigest() and size == len(content)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config_digest,
            "size": config_size,
        },
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size}],
    }
    return client.set_manifest(REPOSITORY, manifest, tag=tag), digest


def content(client):
    first, blob = push(client, "v1", BLOB)
    second, _ = push(client, "v2", b"small")
    assert client.get_manifest(REPOSITORY, "v1").digest == first
    found = client.get_manifest(REPOSITORY, first).manifest
    assert found["layers"][0]["digest"] == blob, found
    assert b"".join(client.download_blob(REPOSITORY, blob)) == BLOB
    refused(lambda: client.get_manifest(REPOSITORY, "absent"), 404)
    return first, second


def listings(client, first, second):
    assert list(client.list_repository_names()) == [REPOSITORY]
    properties = client.get_repository_properties(REPOSITORY)
    assert (properties.name, properties.tag_count, properties.manifest_count) == (REPOSITORY, 2, 2), properties
    newest = ArtifactTagOrder.LAST_UPDATED_ON_DESCENDING
    tags = [tag.name for tag in client.list_tag_properties(REPOSITORY, order_by=newest, results_per_page=1)]
    assert tags == ["v2", "v1"], tags
    oldest = ArtifactManifestOrder.LAST_UPDATED_ON_ASCENDING
    manifests = client.list_manifest_properties(REPOSITORY, order_by=oldest, results_per_page=1)
    assert [manifest.digest for manifest in manifests] == [first, second]
    tag = client.get_tag_properties(REPOSITORY, "v1")
    assert (tag.name, tag.digest) == ("v1", first), tag
    manifest = client.get_manifest_properties(REPOSITORY, "v1")
    assert (manifest.digest, manifest.tags) == (first, ["v1"]), manifest
    refused(lambda: client.get_tag_properties(REPOSITORY, "absent"), 404)


def locks(client, second):
    tag = client.update_tag_properties(REPOSITORY, "v2", can_write=False, can_delete=False)
    assert (tag.can_write, tag.can_delete, tag.can_read) == (False, False, True), tag
    refused(lambda: client.delete_tag(REPOSITORY, "v2"), 405)
    client.update_tag_properties(REPOSITORY, "v2", can_write=True, can_delete=True)
    client.update_manifest_properties(REPOSITORY, second, can_delete=False)
    refused(lambda: client.delete_manifest(REPOSITORY, second), 405)
    manifest = client.update_manifest_properties(REPOSITORY, second, can_delete=True)
    assert manifest.can_delete, manifest
    repository = client.update_repository_properties(REPOSITORY, can_read=False)
    assert repository.can_read is False, repository
    refused(lambda: client.get_manifest(REPOSITORY, "v2"), 405)
    client.update_repository_properties(REPOSITORY, can_read=True)


def deletions(client, first, second):
    client.delete_tag(REPOSITORY, "v1")
    refused(lambda: client.get_tag_properties(REPOSITORY, "v1"), 404)
    assert client.get_manifest_properties(REPOSITORY, first).tags in (None, [])
    client.delete_manifest(REPOSITORY, "v2")
    refused(lambda: client.get_manifest_properties(REPOSITORY, second), 404)
    config = client.get_manifest(REPOSITORY, first).manifest["config"]["digest"]
    # An image never loses what it names.
    refused(lambda: client.delete_blob(REPOSITORY, config), 405)
    alone, _ = client.upload_blob(REPOSITORY, io.BytesIO(b"named by nobody"))
    client.delete_blob(REPOSITORY, alone)
    client.delete_repository(REPOSITORY)
    try:
        client.get_repository_properties(REPOSITORY)
    except ResourceNotFoundError:
        pass
    else:
        raise AssertionError("the repository is still there")
    # What is gone can be deleted once more.
    client.delete_repository(REPOSITORY)
    assert list(client.list_repository_names()) == []


def main(server, authority, application, secret):
    credential = ClientSecretCredential(
        "adfs", application, secret, authority=authority, disable_instance_discovery=True
    )
    with ContainerRegistryClient(server, credential) as client:
        first, second = content(client)
        listings(client, first, second)
        locks(client, second)
        deletions(client, first, second)


main(*sys.argv[1:])
