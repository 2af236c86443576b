cat > /tmp/storm.py <<'P'
import os, sys
# All alive at once: each child waits for the end of the pipe's writers.
reader, writer = os.pipe()
answers, answer = os.pipe()
pids = []
for i in range(3000):
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os.write(answer, (i & 255).to_bytes(1, "little"))
        os._exit(i & 127)
    pids.append(pid)
os.close(writer); os.close(answer)
total = 0
while block := os.read(answers, 4096): total += sum(block)
print(len(set(pids)), total, sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids))
P
python3 /tmp/storm.py; for i in $(seq 300); do /bin/true & done; wait; ls /proc | grep -c '^[0-9]*$'
echo done
