set -e; cd "$(mktemp -d)"
mkdir -p demo/demo; echo 'def main(): print("demo runs")' > demo/demo/__init__.py; echo data > demo/demo/data.txt
printf 'from setuptools import setup\nsetup(name="demo", version="1.0", packages=["demo"], package_data={"demo": ["data.txt"]}, entry_points={"console_scripts": ["demo=demo:main"]})\n' > demo/setup.py
pip wheel -q --disable-pip-version-check --no-build-isolation --no-deps --no-index -w wheels ./demo 2>&1 | grep -v WARNING || true; ls wheels
python3 -m venv environment; environment/bin/pip install --disable-pip-version-check --no-index --find-links wheels demo | grep -v ^Looking; environment/bin/demo; environment/bin/pip --disable-pip-version-check list --format=freeze | grep demo; environment/bin/python -c 'import sys; print(sys.prefix != sys.base_prefix)'; environment/bin/pip uninstall -qy demo; test ! -e environment/bin/demo
cat > all.py <<'P'
import asyncio, concurrent.futures, ctypes, hashlib, multiprocessing, os, platform, signal, sqlite3, ssl, subprocess, sys, tempfile, threading, zlib
def square(x): return x * x
async def talk():
    server = await asyncio.start_server(lambda r, w: (w.write(b"hello"), w.close()), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    print(await reader.read()); writer.close(); server.close()
    process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1); print(await process.communicate(b"piped"))
if __name__ == "__main__":
    with multiprocessing.Pool(4) as pool: print(sum(pool.map(square, range(1000))))
    with multiprocessing.get_context("spawn").Pool(2) as pool: print(sum(pool.map(square, range(10))))
    with concurrent.futures.ThreadPoolExecutor(8) as pool: print(sum(pool.map(square, range(100))))
    asyncio.run(talk()); print(ctypes.CDLL(None).getpid() == os.getpid(), hashlib.sha256(zlib.compress(b"x" * 99)).hexdigest()[:8])
    signal.signal(signal.SIGALRM, lambda *_: print("alarm")); signal.setitimer(signal.ITIMER_REAL, 0.05); signal.pause()
    base = sqlite3.connect(":memory:"); print(base.execute("select 1+1").fetchall()); print(platform.system(), sys.version.split()[0], os.cpu_count() == len(os.sched_getaffinity(0)))
    shared = multiprocessing.shared_memory.SharedMemory(create=True, size=10) if hasattr(multiprocessing, "shared_memory") else None; print(subprocess.check_output(["echo", "out"], text=True).strip())
P
python3 all.py; python3 -m compileall -q demo; find demo -name '*.pyc' | wc -l; echo 'print(input())' > read.py; echo typed | python3 read.py; python3 -c 'import sys; sys.exit(7)' || echo "code $?"
echo done
