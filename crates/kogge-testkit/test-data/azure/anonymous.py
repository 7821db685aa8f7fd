"""azure-containerregistry without a name: what everybody may read, where that is allowed, and nothing else.

Arguments: address of a registry that holds `team/app:v1`; `allowed` or `refused`.
"""

import io
import sys

from azure.containerregistry import ContainerRegistryClient
from azure.core.exceptions import HttpResponseError

REPOSITORY = "team/app"


def refused(call):
    try:
        call()
    except HttpResponseError as error:
        assert error.status_code in (401, 403), error
        return
    raise AssertionError("a call succeeded that should not have")


def reads(client):
    found = client.get_manifest(REPOSITORY, "v1")
    layer = found.manifest["layers"][0]
    assert len(b"".join(client.download_blob(REPOSITORY, layer["digest"]))) == layer["size"]
    assert client.get_tag_properties(REPOSITORY, "v1").digest == found.digest
    assert [tag.name for tag in client.list_tag_properties(REPOSITORY)] == ["v1"]
    assert [manifest.digest for manifest in client.list_manifest_properties(REPOSITORY)] == [found.digest]
    assert list(client.list_repository_names()) == [REPOSITORY]


def main(server, answer):
    with ContainerRegistryClient(server, None) as client:
        if answer == "allowed":
            reads(client)
        else:
            refused(lambda: client.get_manifest(REPOSITORY, "v1"))
            refused(lambda: list(client.list_repository_names()))
        refused(lambda: client.upload_blob(REPOSITORY, io.BytesIO(b"x")))
        refused(lambda: client.update_tag_properties(REPOSITORY, "v1", can_delete=False))
        refused(lambda: client.delete_tag(REPOSITORY, "v1"))
        refused(lambda: client.delete_repository(REPOSITORY))


main(*sys.argv[1:])
