"""Show a page in the browser that denoises photos, makes pairs, and matches colours.

    python -m cycleisp.app

The page is for this computer alone unless --host says otherwise. It needs the extra app: pip
install 'cycleisp[app]'. Ctrl-C ends it, and removes what was uploaded.
"""

import argparse
import importlib.util

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.utils.boundary import run_script
from cycleisp.utils.errors import UserError

LOCAL = "127.0.0.1"


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--host", default=LOCAL, help=f"address to listen at; 0.0.0.0 lets others in (default: {LOCAL})")
    add("--port", type=_port, help="port to listen at (default: the first free one from 7860)")
    add("--open", action="store_true", help="open the page in the browser (default: print its address)")
    add("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="device to compute on (default: auto)")
    add("--minutes", type=_positive, default=10.0, metavar="N", help="longest time for one result (default: 10)")
    add("--megabytes", type=_positive, default=500.0, metavar="N", help="largest file to accept (default: 500)")
    add("--megapixels", type=_positive, default=100.0, metavar="N", help="largest picture to accept (default: 100)")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    check_gradio()
    from cycleisp.app.server import serve  # here, since --help needs neither Gradio nor PyTorch

    serve(args.host, args.port, args.open, args.device, args.minutes, args.megabytes, args.megapixels)


def check_gradio() -> None:
    """Checks that Gradio is installed.

    Raises:
        UserError: it is not.
    """
    if importlib.util.find_spec("gradio") is None:
        raise UserError("the page needs Gradio, which is not installed: pip install 'cycleisp[app]'")


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 0 < number < 65536:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, got {text}")
    return number


if __name__ == "__main__":
    run_script(main, after_stop="the page is closed, and what was uploaded is removed")
