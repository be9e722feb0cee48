"""What a model hub has, by huggingface_hub; half a second to import, so only to fetch.

The bytes themselves are fetched by `fetching`: huggingface_hub (2.4) throws away what it has of a
file when the connection is cut, and takes a damaged file of the right size.
"""

from __future__ import annotations

import re

import httpx2
import huggingface_hub
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from providers.moss_tts_nano.hashes import Told
from providers.moss_tts_nano.hub_cache import HubFile, endpoint_of, shown
from providers.moss_tts_nano.releases import Repository
from router.contract.errors import NotReady, Unreachable

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_WANTED = re.compile(r".*\.(?:onnx|data|json)|tokenizer\.model")
_MOST_FILES = 200


def listed(repository: Repository, endpoint: str | None) -> list[HubFile]:
    """The files that a model directory needs of a repository. Blocking, one request.

    Raises:
        Unreachable: there is no answer.
        NotReady: the hub has no such thing, or it must not be asked.
    """
    # Otherwise it would first ask the hub's own address, mirror or not, who runs this process.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    at = endpoint_of(endpoint)
    try:
        # No token: everything here is public, and a mirror must not be given one.
        found = HfApi(endpoint=at, token=False).list_repo_tree(
            repository.name, revision=repository.revision
        )
        files = [one for one in found if isinstance(one, RepoFile) and _is_wanted(one.path)]
    except OfflineModeIsEnabled as error:
        raise NotReady("$HF_HUB_OFFLINE forbids to fetch the model.") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError) as error:
        what = f"{repository.name} at {repository.revision[:12]}"
        raise NotReady(f"{shown(at)} does not have {what}.") from error
    except HfHubHTTPError as error:
        said = f"{shown(at)} answered {error.response.status_code}"
        raise Unreachable(f"{said} when asked for {repository.name}.") from error
    except HFValidationError as error:
        raise NotReady(f"{repository.name!r} is no name of a repository.") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise Unreachable(
            f"{shown(at)} breaks off ({type(error).__name__}): try again later."
        ) from error
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise Unreachable(f"{shown(at)} does not answer as a model hub does.") from error
    if not files or len(files) > _MOST_FILES:
        raise NotReady(f"{repository.name} on {shown(at)} does not hold a model.")
    return [_file(repository, one, at) for one in files]


def _is_wanted(path: str) -> bool:
    # A plain name: what a hub says must not lead out of the folder.
    return bool(_PLAIN_NAME.fullmatch(path) and _WANTED.fullmatch(path))


def _file(repository: Repository, file: RepoFile, endpoint: str) -> HubFile:
    large = file.lfs
    told = Told(large.size, large.sha256) if large is not None else Told(file.size, file.blob_id)
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", told.digest) or told.size_bytes < 0:
        raise Unreachable(f"{shown(endpoint)} does not answer as a model hub does.")
    url = huggingface_hub.hf_hub_url(
        repository.name, file.path, revision=repository.revision, endpoint=endpoint
    )
    return HubFile(repository, file.path, told, url)
