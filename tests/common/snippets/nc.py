#!/usr/bin/env python3
"""netcat as the documents use it: `nc -U -N PATH` sends standard input and prints what comes back."""
import socket, sys

with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[-1])
    connection.sendall(sys.stdin.buffer.read())
    connection.shutdown(socket.SHUT_WR)
    for piece in iter(lambda: connection.recv(65536), b""):
        sys.stdout.buffer.write(piece)
