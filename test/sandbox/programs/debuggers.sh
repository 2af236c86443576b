set -e; cd "$(mktemp -d)"
printf 'int add(int a, int b) { return a + b; }\nint main(void) { int r = 0; for (int i = 0; i < 3; i++) r = add(r, i);\n return r; }\n' > m.c; gcc -g -O0 -o m m.c
gdb -nx -batch -ex 'break add' -ex run -ex bt -ex 'print b' -ex continue -ex 'print b' -ex 'watch r' -ex 'delete' -ex 'info proc' -ex finish -ex continue ./m 2>&1 | grep -E '^(#|\$|Breakpoint|Run till|Value|\[Inferior)' | sed 's/0x[0-9a-f]*/ADDR/g; s/process [0-9]*/process N/'
strace -f -e trace=execve,exit_group,wait4 -o log sh -c './m; echo $?'; grep -c 'execve(' log; grep -c '+++ exited' log; strace -c -o count ls / > /dev/null; grep -c openat count; strace -e inject=geteuid:retval=77 id -u 2> /dev/null; sleep 5 & until grep -q sleep /proc/$!/comm; do sleep 0.01; done; strace -p $! -o attached -e trace=none & tracer=$!; sleep 0.3; kill %1; wait $tracer || true; grep -c killed attached
sleep 100 & pid=$!; until grep -q sleep /proc/$pid/comm; do sleep 0.01; done; gdb -nx -batch -p $pid -ex 'print $_siginfo.si_signo' -ex detach 2>&1 | grep -c detached; kill $pid; ulimit -c 0; (kill -SEGV $BASHPID) || echo "signal $?"
echo done
