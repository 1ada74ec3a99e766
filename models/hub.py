"""Uploads a model folder to the Hugging Face hub."""

from pathlib import Path

from rejoinder.errors import UserError


def make_repository(name: str, *, private: bool = False) -> None:
    """Makes a model repository on the hub, or checks that an existing one can be written.

    Args:
        name: `owner/name`.
        private: Whether a new repository is private.

    Raises:
        UserError: The name is wrong, or the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, HTTPError

    try:
        HfApi().create_repo(name, private=private, exist_ok=True)
    except (HTTPError, HFValidationError, OSError) as error:
        raise _refused(name, error) from None


def push_folder(folder: Path, name: str) -> str:
    """Uploads the files of a folder in one commit.

    Args:
        folder: A sentence-transformers folder.
        name: `owner/name` of an existing repository.

    Returns:
        The address of the commit.

    Raises:
        UserError: The hub refuses the files or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError

    try:
        commit = HfApi().upload_folder(
            repo_id=name, folder_path=folder, commit_message="Upload a sentence encoder"
        )
    except (HTTPError, OSError) as error:
        raise _refused(name, error) from None
    return str(commit.commit_url)


def _refused(name: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(
        f"--push-to-hub {name}: the hub did not take it ({reason}); log in with `hf auth login`"
        " and use a repository that you may write"
    )
