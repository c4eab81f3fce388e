"""How many wafers, and for which context? `python examples/sweep.py` sweeps both, writes CSV, and plots if it can.

Everything is simulated. With pandas: `pandas.DataFrame(rows).pivot(index="context", columns="wafers_given")`.
"""

import sys
from pathlib import Path

import undiced


def swept(model="llama-3.1-8b", machine="wse3", wafers=(1, 2, 4), contexts=(1024, 4096, 16384), **options):
    """A row for every combination; what does not fit has `fits` False, and an `error` that says what would."""
    asked = len(wafers) * len(contexts)
    done = []

    def tell(row):
        done.append(row)
        speed = f"{row['tokens_per_second']:,.0f} tokens per second" if row["fits"] else row["error"]
        print(
            f"{len(done)}/{asked}  {row['wafers_given']} wafers, context {row['context']:,}: {speed}", file=sys.stderr
        )

    return undiced.simulate(model, machine, wafers=list(wafers), context=list(contexts), progress=tell, **options)


def plot(rows, file):
    """Tokens per second over the context, a line for each number of wafers; False without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for wafers in sorted({row["wafers_given"] for row in rows}):
        points = [row for row in rows if row["wafers_given"] == wafers and row["fits"]]
        axes.plot(
            [row["context"] for row in points],
            [row["tokens_per_second"] for row in points],
            marker="o",
            label=f"{wafers} wafer{'s' * (wafers > 1)}",
        )
    axes.set(xscale="log", xlabel="context, tokens", ylabel="tokens per second of one user (simulated)")
    axes.set_title(f"{rows[0]['model']} on {rows[0]['machine']}")
    axes.legend()
    figure.savefig(file)
    return True


def main(folder=".", **options):
    """Rows as rows.csv, and rows.png where matplotlib is installed."""
    rows = swept(**options)
    undiced.to_csv(rows, Path(folder) / "rows.csv")
    drawn = plot(rows, Path(folder) / "rows.png")
    print("rows.csv, rows.png" if drawn else "rows.csv (rows.png needs matplotlib)")
    return rows


if __name__ == "__main__":
    main()
