"""`opspilot-mcp gate ...`: people's decisions in a terminal. A passphrase is typed, or read from a 0600 file; it is
never an argument.
"""

import asyncio
import getpass
import os
import stat
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

from cyclopts import App, Parameter

from opspilot_mcp import clock, keyboard, proposals, settings
from opspilot_mcp.errors import InvalidInput, NotAllowed, OpsPilotError
from opspilot_mcp.gate import approvers, running, screen, service, snapshots, state
from opspilot_mcp.gate.decisions import Decision
from opspilot_mcp.gate.service import Gate, open_gate

T = TypeVar("T")

app = App(name="gate", help="Read, sign, reject, stop: what a person decides before anything is sent.")
approver_app = App(name="approver", help="Who may sign.")
audit_app = App(name="audit", help="The gate's record.")
app.command(approver_app)
app.command(audit_app)

Home = Annotated[Path | None, Parameter(name="--home", help="OPSPILOT_HOME for this command.")]
Who = Annotated[str | None, Parameter(name="--as", help="The approver's name; asked when left out.")]
PassphraseFile = Annotated[
    Path | None, Parameter(name="--passphrase-file", help="A 0600 file that holds the passphrase, for scripts.")
]


def _root(home: Path | None) -> Path:
    return settings.load(home=home).home


def _run(work: Awaitable[T]) -> T:
    """Run a command; an error becomes one sentence on stderr and exit code 2."""

    async def all_of_it() -> T:
        return await work

    try:
        return asyncio.run(all_of_it())
    except OpsPilotError as error:
        sys.stderr.write(f"opspilot-mcp: {screen.safe(str(error))}\n")
        raise SystemExit(2) from None
    except PermissionError:
        sys.stderr.write("opspilot-mcp: The gate's folder belongs to another user. Run this as the gate's user.\n")
        raise SystemExit(2) from None


def _say(text: str) -> None:
    sys.stdout.write(screen.safe(text) + "\n")


def _ask(question: str) -> str:
    """Return what a person types. Raises NotAllowed without a terminal: a pipe is not a person."""
    if not sys.stdin.isatty():
        raise NotAllowed("This needs a person at a terminal. Run it there.")
    with keyboard.ends_with_ctrl_c():
        sys.stdout.write(question)
        sys.stdout.flush()
        return sys.stdin.readline().rstrip("\n")


def _passphrase(file: Path | None, *, prompt: str = "Passphrase: ") -> str:
    """Return the passphrase from the terminal, or from a file only its owner can read."""
    if file is None:
        if not sys.stdin.isatty():
            raise NotAllowed("A passphrase is typed at a terminal, or read with --passphrase-file. Run it there.")
        with keyboard.ends_with_ctrl_c():
            return getpass.getpass(prompt)
    try:
        handle = os.open(file, os.O_RDONLY)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read ({error.strerror}). Check its path and owner.") from error
    with os.fdopen(handle, encoding="utf-8") as opened:
        if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
            raise NotAllowed(f"{file} is open to other users. Run chmod 600 on it first.")
        return opened.readline().rstrip("\n")


def _new_passphrase(file: Path | None) -> str:
    first = _passphrase(file, prompt="New passphrase (12 characters or more): ")
    if file is None and _passphrase(None, prompt="The same again: ") != first:
        raise InvalidInput("The two passphrases differ. Try again.")
    return first


async def _sign_in(gate: Gate, who: str | None, file: Path | None) -> approvers.Session:
    name = who if who is not None else _ask("Approver's name: ")
    return await gate.sign_in(name, _passphrase(file), now=clock.now_ms())


def _by() -> str:
    return approvers.os_user()


# -- setting up --------------------------------------------------------------------------------------------------------


@app.command
def init(*, name: Who = None, passphrase_file: PassphraseFile = None, home: Home = None) -> None:
    """Set up the gate and its first approver."""

    async def work() -> None:
        chosen = name if name is not None else _ask("Your name as approver (a-z, 0-9): ")
        approvers.check_name(chosen)
        key_id = await service.init(_root(home), chosen, _new_passphrase(passphrase_file), now=clock.now_ms())
        _say(f"The gate is set up in {_root(home) / 'gate'}. {chosen} may sign (key {key_id[:16]}).")
        _say("Start it with: opspilot-mcp gate run")

    _run(work())


@approver_app.command(name="add")
def approver_add(
    name: str,
    *,
    who: Who = None,
    passphrase_file: PassphraseFile = None,
    new_passphrase_file: Path | None = None,
    home: Home = None,
) -> None:
    """Register NAME, vouched for by an approver who signs in (`--as`)."""

    async def work() -> None:
        approvers.check_name(name)
        async with open_gate(_root(home)) as gate:
            voucher = await _sign_in(gate, who, passphrase_file)
            _say(f"Now {name} chooses a passphrase.")
            key_id = await gate.add_approver(voucher, name, _new_passphrase(new_passphrase_file), now=clock.now_ms())
            _say(f"{name} may sign (key {key_id[:16]}). High-risk messages need two people from now on.")

    _run(work())


@approver_app.command(name="list")
def approver_list(*, home: Home = None) -> None:
    """Show who may sign."""

    async def work() -> None:
        async with open_gate(_root(home)) as gate:
            for one in await gate.approvers():
                state_word = "active" if one.is_active else "revoked"
                _say(f"{one.name:<24} {state_word:<8} key {one.key_id[:16]}  since {clock.iso(one.registered_ms)}")

    _run(work())


@approver_app.command(name="revoke")
def approver_revoke(name: str, *, home: Home = None) -> None:
    """Take NAME's key out of force at once, for messages already signed too."""

    async def work() -> None:
        async with open_gate(_root(home)) as gate:
            await gate.revoke_approver(name, by=_by(), now=clock.now_ms())
            _say(f"{name} may not sign any more.")

    _run(work())


# -- reading -----------------------------------------------------------------------------------------------------------


@app.command
def pending(*, limit: int = 50, home: Home = None) -> None:
    """List what waits for a person."""

    async def work() -> None:
        async with open_gate(_root(home)) as gate:
            await _take_new(gate)
            found = await gate.pending(limit=limit + 1)
            for message in found[:limit]:
                _say(screen.line(message))
            _say(_left(len(found), limit))
            for line in await _withdrawn(gate):
                _say(line)

    _run(work())


async def _withdrawn(gate: Gate) -> list[str]:
    """Return a line for each message that agents took back in the last day: none disappears unseen."""
    taken_back = await gate.db.read(snapshots.withdrawn, since_ms=clock.now_ms() - clock.DAY_MS, limit=20)
    return [f"{one.id} for {one.subject}: {one.detail}. Bring it back with gate lift {one.id}" for one in taken_back]


def _left(found: int, limit: int) -> str:
    if found > limit:
        return f"More wait. See them with --limit {limit * 10}."
    return "Nothing waits." if not found else "Read one with: opspilot-mcp gate show PR-..."


async def _take_new(gate: Gate) -> None:
    """Look for new proposals; a desk that cannot be read is said, not hidden."""
    try:
        await gate.sync(now=clock.now_ms())
    except OpsPilotError as error:
        sys.stderr.write(f"The desk cannot be read: {screen.safe(str(error))}\n")


@app.command
def show(message_id: str, *, home: Home = None) -> None:
    """Show one message: every byte of its text, its recipient, what to look at."""

    async def work() -> None:
        async with open_gate(_root(home)) as gate:
            await _take_new(gate)
            _say(screen.whole(await gate.view(message_id)))

    _run(work())


@app.command
def status(*, home: Home = None) -> None:
    """Show whether messages may leave, what waits, and how well the gate is kept apart from agents."""

    async def work() -> None:
        async with open_gate(_root(home)) as gate:
            standing = await gate.db.read(state.read)
            is_running = await _is_running(gate)
            _say(screen.standing(standing, await gate.counts(), screen.isolation(gate.home), is_running=is_running))

    _run(work())


async def _is_running(gate: Gate) -> bool:
    """Whether a dispatcher left its heartbeat in the desk a moment ago; a desk that cannot be read says nothing."""
    try:
        return (await gate.desk.read(proposals.gate_state, now=clock.now_ms())).running
    except OpsPilotError:
        return False


# -- deciding ----------------------------------------------------------------------------------------------------------


@app.command
def approve(
    message_id: str,
    *,
    who: Who = None,
    passphrase_file: PassphraseFile = None,
    sha256: Annotated[str | None, Parameter(help="Digest you were shown, to sign without the screen.")] = None,
    recipient: Annotated[str | None, Parameter(help="The recipient as shown, for a high-risk message.")] = None,
    home: Home = None,
) -> None:
    """Show one message, then sign exactly those bytes with your passphrase."""

    async def work() -> None:
        async with open_gate(_root(home)) as gate:
            await _take_new(gate)
            view = await gate.view(message_id)
            must_type = view.asks_for_recipient and recipient is None
            if must_type and passphrase_file is not None:
                raise InvalidInput(
                    f"{message_id} is high risk and you sign alone: name its recipient with --recipient, exactly as "
                    f"`gate show {message_id}` shows it."
                )
            _say(screen.whole(view))
            typed = _ask("High risk. Type the recipient exactly as shown: ") if must_type else recipient
            session = await _sign_in(gate, who, passphrase_file)
            decision = await gate.approve_as(
                session,
                message_id,
                shown_sha256=sha256 or view.message.sha256,
                fresh=True,
                typed_recipient=typed,
                now=clock.now_ms(),
            )
            _say(screen.decided(decision))

    _run(work())


@app.command
def edit(
    message_id: str,
    text_file: Path,
    *,
    title: str | None = None,
    who: Who = None,
    passphrase_file: PassphraseFile = None,
    home: Home = None,
) -> None:
    """Replace the text of a message by TEXT_FILE's; `gate approve` then shows and signs the new version."""

    async def work() -> None:
        async with open_gate(_root(home)) as gate:
            await _take_new(gate)
            view = await gate.view(message_id)
            session = await _sign_in(gate, who, passphrase_file)
            new = await gate.edit(
                session,
                message_id,
                title=title if title is not None else view.title,
                body=_text_of(text_file),
                shown_sha256=view.message.sha256,
                now=clock.now_ms(),
            )
            _say(f"{new.id} is now version {new.version}. Read and sign it with: opspilot-mcp gate approve {new.id}")

    _run(work())


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read ({error.strerror}). Check the path.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is not UTF-8 text. Save it as UTF-8.") from error


def _simple(home: Path | None, decide: Callable[[Gate], Awaitable[Decision]]) -> None:
    async def work() -> None:
        async with open_gate(_root(home)) as gate:
            await _take_new(gate)
            _say(screen.decided(await decide(gate)))

    _run(work())


@app.command
def reject(message_id: str, *, reason: str, home: Home = None) -> None:
    """Decide that a message will not be sent, and why."""
    _simple(home, lambda gate: gate.reject(message_id, by=_by(), reason=reason, now=clock.now_ms()))


@app.command
def hold(message_id: str, *, home: Home = None) -> None:
    """Stop a message, signed or not, until a person lifts the hold."""
    _simple(home, lambda gate: gate.hold(message_id, by=_by(), now=clock.now_ms()))


@app.command
def lift(message_id: str, *, who: Who = None, passphrase_file: PassphraseFile = None, home: Home = None) -> None:
    """End a hold, or bring back what an agent withdrew; the message waits for a signature again."""

    async def decide(gate: Gate) -> Decision:
        session = await _sign_in(gate, who, passphrase_file)
        return await gate.lift(session, message_id, now=clock.now_ms())

    _simple(home, decide)


@app.command
def resolve(
    message_id: str,
    *,
    arrived: Annotated[bool, Parameter(negative="--not-arrived")],
    who: Who = None,
    passphrase_file: PassphraseFile = None,
    home: Home = None,
) -> None:
    """Say whether an uncertain message arrived (--arrived or --not-arrived)."""

    async def decide(gate: Gate) -> Decision:
        session = await _sign_in(gate, who, passphrase_file)
        return await gate.resolve(session, message_id, was_sent=arrived, now=clock.now_ms())

    _simple(home, decide)


# -- switches ----------------------------------------------------------------------------------------------------------


@app.command
def kill(*, home: Home = None) -> None:
    """Stop everything from leaving, at once."""

    async def work() -> None:
        async with open_gate(_root(home)) as gate:
            was_running = await gate.kill(by=_by(), now=clock.now_ms())
            _say("Nothing leaves any more." if was_running else "It was stopped already.")
            _say("Let messages leave again with: opspilot-mcp gate release")

    _run(work())


@app.command
def release(*, who: Who = None, passphrase_file: PassphraseFile = None, home: Home = None) -> None:
    """Let messages leave again after `gate kill`, a restore, or a clock that ran ahead."""

    async def work() -> None:
        async with open_gate(_root(home)) as gate:
            session = await _sign_in(gate, who, passphrase_file)
            now = clock.now_ms()
            ended = await gate.end_quarantine(session, now=now)
            released = await gate.release(session, now=now)
            moved = await gate.accept_clock(session, now=now)
            _say("Messages may leave again." if ended or released or moved else "Nothing was stopped.")

    _run(work())


# -- running -----------------------------------------------------------------------------------------------------------


@app.command
def run(*, port: int = 8642, console: bool = True, home: Home = None) -> None:
    """Start the console (http://127.0.0.1:PORT) and the dispatcher, and keep them running."""

    async def check() -> Path:
        async with open_gate(_root(home)) as gate:
            if console:
                running.check_port(port)
            _say(f"The gate runs for {gate.home.root}. Stop it with Ctrl-C.")
            return gate.home.root

    running.run(_run(check()), console_port=port if console else None)


@app.command
def tick(*, home: Home = None) -> None:
    """Take one turn: snapshot what is new, send what is signed and due. For cron."""

    async def work() -> None:
        async with open_gate(_root(home)) as gate:
            sent = await gate.tick(now=clock.now_ms(), clock_ms=clock.now_ms)
            _say(f"{sent} sent.")

    _run(work())


@audit_app.command(name="verify")
def audit_verify(*, home: Home = None) -> None:
    """Check the gate's record against itself and its signed checkpoints; exit code 1 names the first bad row."""

    async def work() -> bool:
        async with open_gate(_root(home)) as gate:
            verdict = await gate.verify_audit()
            _say(screen.verdict(verdict))
            return verdict.first_bad is None

    if not _run(work()):
        raise SystemExit(1)
