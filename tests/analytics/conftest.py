"""One set of frames on every engine, and the way back to plain Python values."""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

KEYS = ("exchange", "instrument_type", "symbol")


@dataclass(frozen=True)
class Engine:
    """Turns a polars frame into another library's and a result back into polars."""

    name: str
    make: Callable[[pl.DataFrame], Any]
    back: Callable[[Any], pl.DataFrame]

    @property
    def eager(self) -> bool:
        return self.name not in ("lazy", "ibis", "spark")


def _to_polars(frame: pd.DataFrame) -> pl.DataFrame:
    return pl.from_pandas(frame)


@pytest.fixture(scope="session")
def connection() -> Iterator[Any]:
    import ibis

    connection = ibis.duckdb.connect()
    # a session in another zone must not move a bucket
    connection.raw_sql("SET TimeZone = 'Asia/Tokyo'")
    yield connection
    connection.disconnect()


def _no_spark() -> str | None:
    """Why Spark cannot run here, None where it can."""
    home = os.environ.get("JAVA_HOME")
    if importlib.util.find_spec("pyspark") is None:
        return "pyspark is not installed: pip install 'cexkit[spark]'"
    if shutil.which("java") is None and not (home and (Path(home) / "bin" / "java").exists()):
        return "Spark needs Java 17 or later: put java on the PATH or set JAVA_HOME"
    return None


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """One local session for the whole run: small, without a web page, bound to this machine."""
    if reason := _no_spark():
        pytest.skip(reason)
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "1",
        "spark.default.parallelism": "1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.log.level": "ERROR",
        # a query over a few rows takes less time than generating and compiling Java for it
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.adaptive.enabled": "false",
    }
    session = SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="session")
def spark_connection(spark: Any) -> Any:
    import ibis

    return ibis.pyspark.connect(spark)


ENGINES = ("pandas", "pandas-pyarrow", "pandas-nullable", "polars", "lazy", "pyarrow", "ibis")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine but Spark, which takes a second for what takes the others milliseconds."""
    return _engine(request)


@pytest.fixture(params=[*ENGINES, pytest.param("spark", marks=pytest.mark.spark)])
def every_engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine, Spark among them: for the parity of every metric, in one file, since Spark takes long to start."""
    return _engine(request)


def _engine(request: pytest.FixtureRequest) -> Engine:
    table = iter(range(10_000))

    def ibis_table(frame: pl.DataFrame) -> Any:
        connection = request.getfixturevalue("connection")
        return connection.create_table(f"t{next(table)}", frame.to_arrow(), temp=True, overwrite=True)

    def spark_table(frame: pl.DataFrame) -> Any:
        connection = request.getfixturevalue("spark_connection")
        name = f"t{next(table)}"
        compatible = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        request.getfixturevalue("spark").createDataFrame(compatible).createOrReplaceTempView(name)
        return connection.table(name)

    def spark_result(table: Any) -> pl.DataFrame:
        # Spark's own way to Arrow: that of Ibis leads through pandas, which mixes up null and NaN
        session = request.getfixturevalue("spark")
        return pl.DataFrame(pl.from_arrow(session.sql(table.compile()).toArrow()))

    makers: dict[str, tuple[Callable, Callable]] = {
        "pandas": (lambda f: f.to_pandas(), _to_polars),
        "pandas-pyarrow": (lambda f: f.to_pandas(use_pyarrow_extension_array=True), _to_polars),
        "pandas-nullable": (lambda f: f.to_pandas().convert_dtypes(dtype_backend="numpy_nullable"), _to_polars),
        "polars": (lambda f: f, lambda f: f),
        "lazy": (lambda f: f.lazy(), lambda f: f.collect()),
        "pyarrow": (lambda f: f.to_arrow(), pl.from_arrow),
        "ibis": (ibis_table, lambda t: pl.from_arrow(t.to_pyarrow())),
        "spark": (spark_table, spark_result),
    }
    return Engine(request.param, *makers[request.param])


def column(frame: pl.DataFrame, name: str, sort: tuple[str, ...] = ()) -> list[Any]:
    """A column as Python values, NaN told from null, in the order of ``sort``."""
    by = [key for key in (*sort, *KEYS, "timestamp") if key in frame.columns]
    return frame.sort(by)[name].to_list() if by else frame[name].to_list()


def assert_close(got: list[Any], want: list[Any], rel: float = 1e-12) -> None:
    """Equal length, nulls in the same rows (a NaN is none), numbers within ``rel``."""
    assert len(got) == len(want)
    for row, (left, right) in enumerate(zip(got, want, strict=True)):
        if right is None or left is None or not isinstance(right, float):
            assert left == right, (row, left, right)
        else:
            assert not math.isnan(left), (row, left, right)
            assert math.isclose(left, right, rel_tol=rel, abs_tol=rel * 1e-3), (row, left, right)


@pytest.fixture
def helpers() -> Any:
    class Helpers:
        column = staticmethod(column)
        close = staticmethod(assert_close)

    return Helpers
