#!/usr/bin/env python3
"""What serve.sh and idle.sh need beside wrk and curl: sample trees, free ports, the machine's own limits, idle connections."""

import base64
import os
import resource
import select
import socket
import sys
import threading
import time


def tree(root, many, folders, photos, large):
    """Makes many/ (files of 20 bytes), folders/NNNN/ (10 files each), photos/ (100 KB each), large.bin, and the lists of paths for wrk."""

    def write(path, size):
        with open(os.path.join(root, path), "wb") as file:
            file.write(os.urandom(size))

    for folder in ("many", "folders", "photos"):
        os.makedirs(os.path.join(root, folder))
    for number in range(int(many)):
        write(f"many/IMG_{number:05}.jpg", 20)
    for number in range(int(folders)):
        os.mkdir(os.path.join(root, f"folders/{number:04}"))
        for file in range(10):
            write(f"folders/{number:04}/IMG_{file:05}.jpg", 20)
    for number in range(int(photos)):
        write(f"photos/IMG_{number:05}.jpg", 102400)
    with open(os.path.join(root, "large.bin"), "wb") as file:
        for _ in range(int(large)):
            file.write(os.urandom(1 << 20))
    lists = {
        "many.list": ["many/"],
        "folders.list": [f"folders/{number:04}/" for number in range(int(folders))],
        "photos.list": [f"photos/IMG_{number:05}.jpg" for number in range(int(photos))],
    }
    for name, paths in lists.items():
        with open(os.path.join(os.path.dirname(root), name), "w") as file:
            file.write("\n".join(paths) + "\n")


def port():
    """A port that is free at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        print(listener.getsockname()[1])


def durable(folder, seconds, threads):
    """How many new files of 100 KB in a second survive a power cut: write, fsync, rename, fsync the folder."""
    content = os.urandom(102400)
    counts = [0] * int(threads)
    begin = time.monotonic()

    def work(number):
        while time.monotonic() - begin < float(seconds):
            name = os.path.join(folder, f"{number}-{counts[number]}")
            file = os.open(name + ".part", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(file, content)
            os.fsync(file)
            os.close(file)
            os.rename(name + ".part", name + ".jpg")
            above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(above)
            os.close(above)
            counts[number] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(sum(counts) / (time.monotonic() - begin))


def idle(host, port, path, login, count):
    """Opens connections and holds them, every second one after a first request; says so, waits for a line, and says how many were kept."""
    count = int(count)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 64:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 64) if hard != resource.RLIM_INFINITY else count + 64, hard))
    credentials = base64.b64encode(login.encode()).decode()
    request = f"PROPFIND {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Basic {credentials}\r\n"
    request += "Depth: 0\r\nContent-Length: 0\r\n\r\n"
    held = []
    for number in range(count):
        connection = socket.create_connection((host, int(port)), timeout=10)
        if number % 2:
            connection.sendall(request.encode())
            answer = connection.recv(65536)
            if not answer.startswith(b"HTTP/1.1 207"):
                sys.exit(f"connection {number} was answered with {answer[:80]!r}")
            while b"multistatus>" not in answer[-40:]:
                answer = connection.recv(65536)
                if not answer:
                    sys.exit(f"connection {number} was closed in the middle of an answer")
        held.append(connection)
    print("held", flush=True)
    sys.stdin.readline()
    poll = select.poll()
    for connection in held:
        poll.register(connection, select.POLLIN | select.POLLHUP)
    print(count - len(poll.poll(0)), flush=True)


if __name__ == "__main__":
    {"tree": tree, "port": port, "durable": durable, "idle": idle}[sys.argv[1]](*sys.argv[2:])
