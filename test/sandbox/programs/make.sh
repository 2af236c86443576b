set -e; mkdir /root/build; cd /root/build
tar -xzf /usr/src/lua.tar.gz; cd lua-*; make -s -j2 generic MYCFLAGS=-DLUA_USE_POSIX 2>&1; (cd src; md5sum lua luac *.o)
cat > fib.lua <<'L'
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(_VERSION, fib(22), #arg); for word in ("a b c"):gmatch("%a") do io.write(word, ";") end print() print(pcall(error, "caught"))
local f = io.popen("echo child") print(f:read("a")) f:close() print(os.getenv("HOME"), os.execute("exit 3"))
L
src/lua fib.lua x; src/luac -o fib.luac fib.lua; md5sum fib.luac; make -s clean; ls src/*.o 2>/dev/null | wc -l
printf '#include <pthread.h>\n#include <stdio.h>\nstatic void*f(void*a){return a;}\nint main(void){pthread_t t;void*r;pthread_create(&t,0,f,(void*)7L);pthread_join(t,&r);printf("%%ld\\n",(long)r);return 0;}' > t.c
gcc -g -O2 -flto -pthread -static -o t t.c && ./t; gcc -fsanitize=address,undefined -o t t.c && ASAN_OPTIONS=detect_leaks=0 ./t; gcc -shared -fPIC -o libt.so -x c - <<< 'int g(void){return 5;}'; objdump -f libt.so | grep -c DYNAMIC; strip t; size t | wc -l
gcc -c missing.c 2>&1 || echo "failed $?"
echo done
