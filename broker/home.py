"""Where a user's broker keeps its files: `$NUNATAK_HOME`, on a filesystem that every host of the cluster sees."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The folder of one broker (mode 0700) and the names in it; docs/files.md is the table of who deletes what."""

    root: Path

    @property
    def password_file(self) -> Path:
        return self.root / "password"

    @property
    def config_file(self) -> Path:
        return self.root / "config.toml"

    @property
    def address_file(self) -> Path:
        return self.root / "address.json"

    @property
    def heartbeat_dir(self) -> Path:
        """Its own folder, because every node proves there that it can write (LEASES rule 11)."""
        return self.root / "heartbeat"

    @property
    def heartbeat_file(self) -> Path:
        return self.heartbeat_dir / "beat"

    @property
    def supervisor_lock(self) -> Path:
        return self.root / "supervisor.lock"

    @property
    def supervisor_log(self) -> Path:
        return self.root / "supervisor.log"

    @property
    def server_log(self) -> Path:
        return self.root / "server.log"

    @property
    def records_dir(self) -> Path:
        return self.root / "records"

    @property
    def blocks_dir(self) -> Path:
        return self.root / "blocks"

    @property
    def sites_dir(self) -> Path:
        """The user's own sites; theirs to make."""
        return self.root / "sites"

    @property
    def archive_dir(self) -> Path:
        """What the nodes of a cluster's blocks start from; made with the first archive."""
        return self.root / "archive"

    def epoch_dir(self, epoch: int) -> Path:
        """The server's data of one epoch; a later epoch copies it and never writes in it."""
        return self.root / f"epoch-{epoch}"

    @property
    def socket_file(self) -> Path:
        """Node-local and short: a unix socket's path is limited to 107 bytes, and it works on its own host only."""
        digest = hashlib.blake2b(os.fsencode(self.root), digest_size=6).hexdigest()
        return Path(tempfile.gettempdir()) / f"nunatak-{os.getuid()}" / f"{digest}.sock"

    def create(self) -> None:
        """Make the folders, for their owner only."""
        for folder in (self.root, self.heartbeat_dir, self.records_dir, self.blocks_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
