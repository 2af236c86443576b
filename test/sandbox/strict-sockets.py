"""Sockets of all kinds, as a program sees them: what it prints depends on nothing but the kernel. Run natively and in a sandbox."""
import asyncio, os, select, signal, socket, struct, threading, time


def refusal(action):
    try:
        return action()
    except OSError as error:
        return error.strerror


def fill(send):
    count = 0
    try:
        while True:
            count += send()
    except BlockingIOError:
        return count


def later(action):
    threading.Timer(0.1, action).start()


print("# pairs")
a, b = socket.socketpair()
later(lambda: a.send(b"late"))
print(b.recv(10), select.select([b], [a], [], 0)[1] == [a])
block = bytes(3_000_000)
writer = threading.Thread(target=lambda: (a.sendall(block), a.shutdown(socket.SHUT_WR)))
writer.start()
total = 0
while part := b.recv(65536):
    total += len(part)
writer.join()
print(total, refusal(lambda: a.send(b"x")), b.send(b"back"), a.recv(10))
a, b = socket.socketpair()
r, w = os.pipe()
socket.send_fds(a, [b"f"], [w])
os.close(w)
message, fds, flags, _ = socket.recv_fds(b, 10, 4)
os.write(fds[0], b"passed")
os.close(fds[0])
print(message, len(fds), flags, os.read(r, 10), os.read(r, 10))
socket.send_fds(a, [b"lost"], [r])
print(b.recvmsg(10)[0::2])
a.close()
print(b.recv(1), refusal(lambda: b.send(b"x")))

print("# datagrams")
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
a.send(b"one"), a.send(b"two!")
print(b.recv(2), b.recv(10))
server, client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind("\0abstract"), client.bind("/tmp/client")
client.sendto(b"x", "\0abstract")
print(server.recvfrom(10), server.sendto(b"back", "/tmp/client"), client.recv(10))
client.setblocking(False)
print("full", fill(lambda: client.sendto(b"y", "\0abstract")))
client.setblocking(True)
later(lambda: server.recv(10))
print(client.sendto(b"z", "\0abstract"))
print(refusal(lambda: client.sendto(b"z", "/tmp/nobody")), refusal(lambda: client.sendto(b"z", "/tmp")), refusal(lambda: server.bind("/tmp/other")))
print(refusal(lambda: socket.socket(socket.AF_UNIX).bind("/tmp/client")))

print("# packets")
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
a.send(b"one"), a.send(b"two")
print(b.recv(10), b.recv(1, socket.MSG_PEEK), b.recvmsg(2)[2] == socket.MSG_TRUNC)
a.close()
print(b.recv(5), refusal(lambda: b.send(b"x")))

print("# edges")
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
x, _ = listener.accept()
x.setblocking(False)
poll = select.epoll()
poll.register(x, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET | select.EPOLLRDHUP)
print(poll.poll(1)[0][1] == select.EPOLLOUT, poll.poll(0.05))
for text in b"a", b"b":
    client.send(text)
    print(poll.poll(5)[0][1] & select.EPOLLIN, poll.poll(0.05))
print(x.recv(10))
client.close()
print(poll.poll(5)[0][1] & select.EPOLLRDHUP != 0, x.recv(1))

print("# readiness")
pairs = [socket.socketpair() for _ in range(4)]
poll = select.epoll()
for _, end in pairs:
    poll.register(end, select.EPOLLIN)
pairs[0][0].send(b"x")
print(len(poll.poll(0)))
a, b = socket.socketpair()
poll = select.poll()
poll.register(b, select.POLLIN | select.POLLOUT)
print(poll.poll(0)[0][1])
a.setblocking(False)
print("full", fill(lambda: a.send(bytes(1000))) > 50_000, select.select([], [a], [], 0)[1])
b.recv(1 << 20)
print(len(select.select([], [a], [], 5)[1]))
a.close()
print(poll.poll(0)[0][1] & (select.POLLIN | select.POLLHUP))

print("# signals")
endings = set()
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        a, b = socket.socketpair()
        b.close()
        refusal(lambda: a.send(b"x"))
        os._exit(3)
    endings.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(endings)
a, b = socket.socketpair()
a.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 0, 100_000))
start = time.monotonic()
print(refusal(lambda: a.recv(1)), time.monotonic() - start > 0.09)
a.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 0, 0))
signal.signal(signal.SIGALRM, lambda *_: b.send(b"from the handler"))
signal.setitimer(signal.ITIMER_REAL, 0.1)
print(a.recv(100))
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
writer = threading.Thread(target=lambda: (a.sendall(bytes(range(250)) * 4000), a.close()))
writer.start()
received = bytearray()
while part := b.recv(10_000):
    received += part
signal.setitimer(signal.ITIMER_REAL, 0)
print(received == bytes(range(250)) * 4000)

print("# the network")
u, v = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("127.0.0.1", 0))
v.sendto(b"hi", u.getsockname())
print(u.recvfrom(10)[0])
u.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
v.sendto(b"info", u.getsockname())
data, control, _, _ = u.recvmsg(10, 100)
print(data, [each[:2] for each in control])
print(refusal(lambda: socket.create_connection(("127.0.0.1", 1))), refusal(lambda: u.sendmsg([bytes(70_000)], [], 0, v.getsockname())))


async def all_at_once():
    async def echo(reader, writer):
        writer.write(await reader.read())
        await writer.drain()
        writer.close()

    async def ask(reader, writer, data):
        writer.write(data)
        writer.write_eof()
        return len(await reader.read())

    tcp = await asyncio.start_server(echo, "127.0.0.1", 0)
    unix = await asyncio.start_unix_server(echo, "/tmp/unix")
    address = tcp.sockets[0].getsockname()
    print(sum(await asyncio.gather(*[ask(*await asyncio.open_connection(*address), bytes(200_000)) for _ in range(20)])))
    print(await ask(*await asyncio.open_unix_connection("/tmp/unix"), bytes(100_000)))


print("# asyncio")
asyncio.run(all_at_once())
