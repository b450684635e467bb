"""The command `signalbox`.

Each subcommand imports only what it runs, and those that work with greenlets patch first.
"""

# ruff: noqa: PLC0415  # imports belong to the subcommands, after the patch

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from signalbox.ops import mail_command
from signalbox.ops.prepared import inspecting, serving
from signalbox.ops.settings import Settings, SettingsError, home_folder

USER_ERROR: Final = 2
INTERRUPTED: Final = 130
PORT_MAX: Final = 65_535
MESSAGE_NAMES: Final = """\
MESSAGE is what an answer of the API calls it:
  SMS over links           its message_id
  SMS by phone, accounts   msg_...
  SMS by phone, orgs       sms-org_ORG-NUMBER, e.g. sms-org_myorg-1
  mail                     its pk, TENANT/ID, or its client's ID alone
or the name of its stream, as `audit export` prints it.
"""

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error of the operator's is one line and a 2."""
    parsed = _parser().parse_args(arguments)
    command: Command = parsed.command
    try:
        return command(parsed)
    except SettingsError as error:
        sys.stderr.write(f"signalbox: {error}\n")
        return USER_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough (`| head`); nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def up(arguments: argparse.Namespace) -> int:
    """Run everything on this machine."""
    from signalbox.ops.demo import Demo
    from signalbox.ops.up import run

    if arguments.phone and not arguments.demo:
        raise SettingsError("up: --phone needs --demo")
    if not arguments.demo:
        return run(Settings.load(arguments.config, os.environ))
    demo = Demo.prepare(home_folder(os.environ), with_phone=arguments.phone)
    return run(Settings.load(demo.config_path, os.environ), demo)


def web(arguments: argparse.Namespace) -> int:
    """Run the HTTP server."""
    settings = serving(arguments, "web")
    from signalbox.ops import preflight

    preflight.refuse_taken_ports(settings)
    from signalbox.ops.web import run

    return run(settings)


def relay(arguments: argparse.Namespace) -> int:
    """Run the links."""
    settings = serving(arguments, "relay")
    from signalbox.ops.relay import run

    return run(settings)


def projector(arguments: argparse.Namespace) -> int:
    """Run the projections."""
    settings = serving(arguments, "projector")
    from signalbox.ops.projector import run

    return run(settings)


def demo_smsc(arguments: argparse.Namespace) -> int:
    """Run the demo SMSC."""
    from signalbox.ops.demo_smsc import serve_and_exit

    if not 0 <= arguments.port <= PORT_MAX:
        raise SettingsError(f"--port: expected 0 to {PORT_MAX}, got {arguments.port}")
    serve_and_exit(arguments.port)


def phone(arguments: argparse.Namespace) -> int:
    """Play a phone."""
    from signalbox.ops.phone import run

    return run(arguments)


def timeline(arguments: argparse.Namespace) -> int:
    """Print the events of one message."""
    with inspecting(arguments, "audit") as settings:
        from signalbox.ops import audit

        return audit.timeline(settings, arguments.message_id, arguments.tenant)


def export(arguments: argparse.Namespace) -> int:
    """Print events as JSON Lines."""
    with inspecting(arguments, "audit") as settings:
        from signalbox.ops import audit

        return audit.export(
            settings,
            arguments.since,
            arguments.until,
            arguments.stream,
            arguments.topic,
            personal=arguments.personal,
        )


def replay(arguments: argparse.Namespace) -> int:
    """Print the figures of an earlier moment."""
    with inspecting(arguments, "replay") as settings:
        from signalbox.ops.replay import run

        return run(settings, arguments.until)


def rebuild(arguments: argparse.Namespace) -> int:
    """Make the read models anew."""
    with inspecting(arguments, "rebuild") as settings:
        from signalbox.ops.rebuild import run

        return run(settings)


def make_license(arguments: argparse.Namespace) -> int:
    """Print a signed licence."""
    from signalbox.ops.license import make

    return make(arguments)


def make_invite(arguments: argparse.Namespace) -> int:
    """Print the code of a new invite."""
    with inspecting(arguments, "invite") as settings:
        from signalbox.ops import invites

        return invites.make(settings, uses=arguments.uses, days=arguments.days, by=arguments.by)


def revoke_invite(arguments: argparse.Namespace) -> int:
    """Make an invite worthless."""
    with inspecting(arguments, "invite") as settings:
        from signalbox.ops import invites

        return invites.revoke(settings, arguments.code, by=arguments.by)


def list_invites(arguments: argparse.Namespace) -> int:
    """Print all invites."""
    with inspecting(arguments, "invite") as settings:
        from signalbox.ops import invites

        return invites.show(settings)


def version(_: argparse.Namespace) -> int:
    """Print the version."""
    sys.stdout.write(f"signalbox {importlib.metadata.version('signalbox')}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="signalbox", description="Event-sourced messaging gateway."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument("--config", type=Path, metavar="FILE", help="instead of ./signalbox.toml")

    start = commands.add_parser("up", help="run everything on this machine")
    start.set_defaults(command=up)
    which = start.add_mutually_exclusive_group()
    which.add_argument("--config", type=Path, metavar="FILE", help="instead of ./signalbox.toml")
    which.add_argument("--demo", action="store_true", help="with a demo SMSC and one SMS to it")
    start.add_argument("--phone", action="store_true", help="--demo: with a demo phone as well")
    for name, command, text in (
        ("web", web, "run the HTTP server"),
        ("relay", relay, "run the SMPP links"),
        ("projector", projector, "keep the read models"),
    ):
        commands.add_parser(name, help=text, parents=[config]).set_defaults(command=command)
    smsc = commands.add_parser("demo-smsc", help="run an SMSC that delivers to nobody")
    smsc.set_defaults(command=demo_smsc)
    smsc.add_argument("--port", type=int, required=True)
    _add_phone(commands)
    mail_command.add_to(commands)
    _add_inspections(commands, config)
    _add_license(commands)
    _add_invites(commands, config)
    commands.add_parser("version", help="print the version").set_defaults(command=version)
    return parser


def _add_inspections(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    config: argparse.ArgumentParser,
) -> None:
    audit = commands.add_parser("audit", help="read the event log").add_subparsers(required=True)
    one = audit.add_parser(
        "timeline", help="the events of one message", parents=[config],
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=MESSAGE_NAMES,
    )  # fmt: skip
    one.set_defaults(command=timeline)
    one.add_argument("message_id", metavar="MESSAGE", help="see below")
    one.add_argument("--tenant", metavar="ID", help="whose mail it is, by its client's id")
    many = audit.add_parser("export", help="events as JSON Lines", parents=[config])
    many.set_defaults(command=export)
    for option in ("since", "until", "stream", "topic"):
        many.add_argument(f"--{option}")
    many.add_argument("--personal", action="store_true", help="show addresses and texts")
    again = commands.add_parser("replay", help="the figures of a moment", parents=[config])
    again.set_defaults(command=replay)
    again.add_argument("--until", required=True, metavar="TIME|POSITION")
    models = commands.add_parser("projections", help="read models").add_subparsers(required=True)
    anew = models.add_parser("rebuild", help="make them anew from the log", parents=[config])
    anew.set_defaults(command=rebuild)


def _add_phone(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    one = commands.add_parser("phone", help="play an Android phone with the gateway app")
    one.set_defaults(command=phone)
    one.add_argument("--surface", choices=("signalhouse", "trucopilot"), required=True)
    one.add_argument("--url", default="http://127.0.0.1:8088", help="of the gateway")
    one.add_argument(
        "--secret",
        help="sh_ key or SecretKey; better in SIGNALBOX_PHONE_SECRET, where ps sees none",
    )
    one.add_argument("--device", metavar="ID", help="signalhouse: be this device, not a new one")
    one.add_argument("--org", metavar="ORGID", help="trucopilot: whose phone it is")
    one.add_argument(
        "--sim", action="append", default=[], metavar="SLOT[:NUMBER[:LABEL[:CARRIER]]]",
        help="trucopilot: a SIM in it",
    )  # fmt: skip
    one.add_argument(
        "--answer", choices=("deliver", "send", "fail", "ignore", "drop"), default="deliver",
        help="what becomes of a text; drop hangs up instead of answering",
    )  # fmt: skip
    one.add_argument("--answer-after-s", type=float, default=0.2, metavar="S")
    one.add_argument(
        "--inbound", action="append", default=[], metavar="FROM=TEXT",
        help="a text that arrives at once; more come on standard input: FROM TEXT",
    )  # fmt: skip


def _add_license(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    licences = commands.add_parser("license", help="licence files").add_subparsers(required=True)
    one = licences.add_parser("make", help="print a signed licence")
    one.set_defaults(command=make_license)
    one.add_argument("--company", required=True)
    one.add_argument("--valid-until", required=True, metavar="YYYY-MM-DD", help="the last day, UTC")
    one.add_argument(
        "--max-connections", required=True, type=int, metavar="N", help="links at once"
    )
    one.add_argument("--max-tps", required=True, type=int, metavar="N", help="parts per second")
    key = one.add_mutually_exclusive_group(required=True)
    key.add_argument("--secret-env", metavar="NAME", help="variable with a secret (HS256)")
    key.add_argument("--private-key", type=Path, metavar="FILE", help="Ed25519 key in PEM")
    key.add_argument("--new-key", type=Path, metavar="FILE", help="make one, and FILE.pub")


def _add_invites(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    config: argparse.ArgumentParser,
) -> None:
    some = commands.add_parser("invite", help="who may open an account").add_subparsers(
        required=True
    )
    one = some.add_parser("make", help="print the code of a new one", parents=[config])
    one.set_defaults(command=make_invite)
    one.add_argument("--uses", type=int, default=1, metavar="N", help="accounts it opens (1)")
    one.add_argument("--days", type=int, default=30, metavar="D", help="days it holds (30)")
    gone = some.add_parser("revoke", help="make one worthless", parents=[config])
    gone.set_defaults(command=revoke_invite)
    gone.add_argument("code", help="its code, or its digest as `list` prints it")
    for parser in (one, gone):
        parser.add_argument("--by", default="operator", metavar="NAME", help="for the log")
    every = some.add_parser("list", help="all of them, without their codes", parents=[config])
    every.set_defaults(command=list_invites)


if __name__ == "__main__":
    sys.exit(main())
