"""Slurm's reasons in words: why a block waits, why it ended, and which of sbatch's errors are a definite no."""

import re
from collections.abc import Mapping

#: `man squeue`, JOB REASON CODES (22.05 to 25.05): those that users meet. Any other is shown as Slurm spells it.
WAITS: Mapping[str, str] = {
    "Priority": "jobs of higher priority are before it",
    "Resources": "it is next, and waits for nodes to become free",
    "Licenses": "it waits for a license",
    "Dependency": "it waits for another job to end",
    "DependencyNeverSatisfied": "it waits for another job that has ended badly: cancel it",
    "BeginTime": "the earliest time to start it has not come",
    "JobHeldUser": "it is held by its user: scontrol release it",
    "JobHeldAdmin": "it is held by an administrator",
    "JobArrayTaskLimit": "its array has as many jobs running as it may",
    "Cleaning": "it is being started anew",
    "InactiveLimit": "it has reached the site's limit of inactivity",
    "InvalidAccount": "its account is not valid any more: cancel it, and correct `account`",
    "InvalidQOS": "its quality of service is not valid any more: cancel it, and correct `qos`",
    "NodeDown": "a node that it needs is down",
    "BadConstraints": "no node has what it asks for: cancel it, and correct `constraint`",
    "ReqNodeNotAvail": "a node that it needs is not available, or reserved (for a maintenance, mostly)",
    "Reservation": "it waits for its reservation",
    "ReservationDeleted": "its reservation is gone: cancel it",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition takes no jobs now",
    "PartitionNodeLimit": "it asks for more nodes than its partition gives a job, or has",
    "PartitionTimeLimit": "it asks for more time than its partition gives",
    "FrontEndDown": "no front end is there to start it",
    "launch_failed_requeued_held": "it could not be started and is held: cancel it",
    "JobLaunchFailure": "it could not be started",
    "SystemFailure": "Slurm, a file system or the network failed",
    "TimeLimit": "its walltime was over",
    "NonZeroExitCode": "its script ended badly",
    "RaisedSignal": "its script was ended by a signal",
    "OutOfMemory": "it used more memory than it has",
    "QOSJobLimit": "its quality of service runs no more jobs now",
    "QOSMaxJobsPerUserLimit": "this user has as many jobs running as is allowed",
    "QOSMaxSubmitJobPerUserLimit": "this user has submitted as many jobs as is allowed",
    "QOSMaxNodePerUserLimit": "this user has as many nodes as is allowed",
    "QOSMaxCpuPerUserLimit": "this user has as many processors as is allowed",
    "QOSMaxNodePerJobLimit": "it asks for more nodes than its quality of service gives a job",
    "QOSMaxWallDurationPerJobLimit": "it asks for more time than its quality of service gives a job",
    "QOSMinNode": "it asks for fewer nodes than its quality of service wants",
    "QOSGrpNodeLimit": "all users of its quality of service together have as many nodes as is allowed",
    "QOSGrpJobsLimit": "all users of its quality of service together have as many jobs as is allowed",
    "QOSTimeLimit": "its quality of service has used up its time",
    "QOSUsageThreshold": "its quality of service has used up its share",
    "AssociationJobLimit": "its account runs no more jobs now",
    "AssocMaxJobsLimit": "its account has as many jobs running as is allowed",
    "AssocMaxNodePerJobLimit": "it asks for more nodes than its account gives a job",
    "AssocMaxWallDurationPerJobLimit": "it asks for more time than its account gives a job",
    "AssocGrpJobsLimit": "all users of its account together have as many jobs as is allowed",
    "AssocGrpNodeLimit": "all users of its account together have as many nodes as is allowed",
    "AssocGrpBillingMinutes": "its account has used up what it was granted",
    "AssocGrpCPUMinutesLimit": "its account has used up the processor time that it was granted",
    "AssocGrpCPURunMinutesLimit": "what its account has running may use all that it was granted",
    "AssocGrpBillingRunMinutes": "what its account has running may use all that it was granted",
    "AssociationTimeLimit": "its account has used up its time",
    "MaxBillingPerAccount": "its account has as much running as is allowed",
    "MaxSubmitJobsPerUser": "this user has submitted as many jobs as is allowed",
}

#: Slurm's words for a job's bad end.
_ENDS: Mapping[str, str] = {
    "NODE_FAIL": "Slurm lost its nodes",
    "BOOT_FAIL": "its nodes could not be started",
    "DEADLINE": "it could not be started in time",
    "OUT_OF_MEMORY": "it used more memory than it has",
    "PREEMPTED": "another job took its nodes",
    "REVOKED": "another cluster has started it",
    "TIMEOUT": "its walltime was over",
    "CANCELLED": "it was cancelled, but not by nunatak",
}

#: Of a job that waits or runs, in words that say more than our state.
_STAYS: Mapping[str, str] = {
    "CONFIGURING": "its nodes are being made ready",
    "COMPLETING": "Slurm tidies its nodes up",
    "STAGE_OUT": "Slurm copies its files",
    "SUSPENDED": "Slurm has suspended it",
    "STOPPED": "Slurm has stopped it",
    "REQUEUED": "Slurm starts it anew",
    "REQUEUE_HOLD": "Slurm would start it anew, but it is held: cancel it",
}

#: What Slurm's controller answers to a submission that it has looked at and refused. Anything else, a lost answer among it, leaves open
#: whether the job exists: a frozen controller was seen to take three of three submissions that had "failed" when it woke up.
_REFUSALS = (
    "Invalid account or account/partition combination specified",
    "Invalid partition name specified",
    "Invalid qos specification",
    "Invalid feature specification",
    "Invalid license specification",
    "Invalid generic resource (gres) specification",
    "Invalid wckey specification",
    "Job violates accounting/QOS policy",
    "Requested time limit is invalid",
    "Requested node configuration is not available",
    "Node count specification invalid",
    "More processors requested than permitted",
    "Access/permission denied",
    "User's group not permitted to use this partition",
    "Requested partition configuration not available now",
    "Required partition not available",
    "Memory specification can not be satisfied",
    "Requested reservation is invalid",
    "Access denied to requested reservation",
    "Job size specification needs to be provided",
)
#: What sbatch says before it has sent anything.
_UNSENT = re.compile(
    r"^sbatch: (error: |fatal: )?"
    r"(Unable to open file|unrecognized option|invalid option|option .* requires an argument|Invalid \S+ specification)",
    re.MULTILINE | re.IGNORECASE,
)


def in_words(word: str, reason: str) -> str:
    """What a person wants to know of a job in this state; empty: the state says it all."""
    if word in _STAYS:
        return _STAYS[word]
    if word == "PENDING":
        return _why_it_waits(reason)
    if word in _ENDS:
        return _ENDS[word]
    return f"Slurm says {word}, which we do not know" if word not in _SAY_IT_ALL else ""


_SAY_IT_ALL = ("RUNNING", "RESIZING", "SIGNALING", "COMPLETED", "FAILED")


def _why_it_waits(reason: str) -> str:
    if reason in ("", "None", "N/A"):
        return ""
    # "ReqNodeNotAvail, UnavailableNodes:n[1-2]", "Nodes required for job are DOWN, …": the first word is the code.
    code, _, rest = reason.partition(",")
    if code in WAITS:
        return WAITS[code] + (f" ({rest.strip()})" if rest.strip() else "")
    return f"Slurm says: {reason}"


def is_refusal(said: str) -> bool:
    """Whether sbatch's words are a definite no: nothing was submitted."""
    failed = re.search(r"Batch job submission failed: (.*)", said)
    if failed is not None:
        return failed[1].startswith(_REFUSALS)
    return _UNSENT.search(said) is not None
