"""Every key in the server: its type, its meaning, who deletes it. The Lua scripts spell the same names (lua/prelude.lua).

====================  ======  ==========================================================================================
key                   type    meaning; who deletes it
====================  ======  ==========================================================================================
job:<id>              hash    one jobfile's record, from its first enqueue on: what waits, what runs, what ended; `forget`
lane:<lane>           list    ids that wait, head first. An id is a *ticket*: it counts only while the record says
                              `queued` and names this lane (so cancel and take_back need not search); `claim`
suspects              zset    id -> since when: waits, one loss from the limit, for a node of its own; `claim`
returning             zset    id -> until when: waits, was lost with its node, which may come back with it; `claim`
lost_nodes            zset    node -> when its leases ran out, for a fifth of a lease; `reap`
lanes                 zset    the lanes that hold tickets, ranked by priority, then by estimate; `claim` when a lane is empty
leases                zset    id -> lease end, server ms: exactly the claimed jobfiles; whichever verb ends the claim
tokens                hash    token -> id of the claim it holds; whichever verb ends the claim
ended:<state>         zset    id -> when (failed, quarantined, cancelled); `retry`, `enqueue`, `forget`
campaigns             hash    name -> number; `forget`
campaign_serial       string  the last campaign number given out; nobody
campaign:<n>          hash    options and pause of a campaign; `forget`
streak:<n>            list    "id node" of the latest first failures in a row, for one reason, at most 20; a success, `forget`
well:<n>              zset    "id node" -> when: the latest 16 that did well; `forget`
failing:<n>           zset    "place\\nreason" -> when: where jobfiles failed quickly, the latest 16; `forget`
own:<n>               zset    "id reason" -> when: what failed so wherever it ran, the latest 16; `forget`
place:<node block>    hash    what failed quickly there in a row, at most 100 (lua/evidence.lua); a success there; expires after a day
bad_nodes             hash    "node block" -> since when and why it is given nothing more (JSON); `forgive`, after a week
campaign:<n>:jobs     list    ids in the order of their enqueueing; `forget`
counts:<n>            hash    state -> how many jobfiles of the campaign; `forget`
directories           hash    number -> path; nobody (one line per directory)
directory_numbers     hash    path -> number; nobody
batch:<id>:<chunk>    string  an enqueue's answer, so that repeating it changes nothing; expires after a day
beat                  hash    the last beat, the time settings that every verb obeys, `hold_since` (rule 22), `stop`; nobody
workers               hash    name -> what the worker said at its last renewal (JSON); `leave`, the supervisor after a day
blocks                set     ids of blocks; nobody (O(blocks))
block:<id>            hash    what is known of a block; `drained_at`: its workers are given nothing more; nobody (O(blocks))
sites                 set     names of sites that launchers remember something of; nobody (O(sites))
site:<name>           hash    what they remember (`paused`: no intent); launcher/scaling.py says what it means; nobody
events                stream  the history: one entry per change (docs/events.md); nobody yet
bell                  list    wake-up tokens for idle workers; losing one loses nothing; `claim` when nothing waits
jobfiles              list    the queue's name in Celery. Ours never lie in it; what does is not ours -> `rejected`
rejected              list    messages that are not ours, kept for a person, at most 1,000; nobody
====================  ======  ==========================================================================================

The names are those of one database of one server; a Redis *cluster* is not supported. `unacked` and `unacked_index` stay kombu's own:
a stock client (Flower, `celery inspect`) restores what it finds in them, so a lease must not lie there.
"""

#: The Celery queue whose messages are leases.
QUEUE = "jobfiles"
BAD_NODES = "bad_nodes"
BEAT = "beat"
BELL = "bell"
BLOCKS = "blocks"
CAMPAIGNS = "campaigns"
DIRECTORIES = "directories"
EVENTS = "events"
LANES = "lanes"
LEASES = "leases"
REJECTED = "rejected"
SITES = "sites"
WORKERS = "workers"


def job(job_id: str) -> str:
    return f"job:{job_id}"


def block(block_id: str) -> str:
    return f"block:{block_id}"


def site(name: str) -> str:
    return f"site:{name}"


def campaign(number: int | str) -> str:
    return f"campaign:{number}"


def campaign_jobs(number: int | str) -> str:
    return f"campaign:{number}:jobs"


def counts(number: int | str) -> str:
    return f"counts:{number}"


def ended(state: str) -> str:
    return f"ended:{state}"
