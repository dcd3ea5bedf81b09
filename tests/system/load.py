"""Many senders at once, in processes of their own, and what each message came to."""
import json
import os
import threading
import time

from smtp_session import Gone, Session, letter


class Load:
    """`senders` sessions push `count` messages, named <N.tag@client.example>, and try each until it has its 250.

    After wait(): acked {message id: queue id}, doubtful: those of which at some time the end was sent and no
    reply seen."""

    def __init__(self, context, address, senders, count, tag="load", processes=4, source="127.0.2.{}", size=4096, limit=150,
                 recipient="bob@adatum.com", pace=0):
        self.count, self.tag, self.size, self.limit, self.recipient, self.pace = count, tag, size, limit, recipient, pace
        self.address, self.source = address, source
        self.results, self.pids = [], []
        for number in range(processes):
            path = context.folder / f"load-{tag}-{number}"
            numbers = list(range(number, count, processes))
            each = senders // processes
            pid = os.fork()
            if pid == 0:
                try:
                    self._work(number, each, numbers, path)
                finally:
                    os._exit(0)
            self.pids.append(pid)
            self.results.append(path)

    def name(self, number):
        return f"<{number}.{self.tag}@client.example>"

    def progress(self):
        """Messages that have their 250 so far."""
        return sum(p.read_bytes().count(b"\n") for p in self.results if p.exists())

    def wait(self):
        for pid in self.pids:
            os.waitpid(pid, 0)
        self.acked, self.doubtful, self.wrong = {}, set(), []
        for path in self.results:
            for line in path.read_text().splitlines():
                name, id, doubt, wrong = json.loads(line)
                if id:
                    self.acked[name] = id
                if doubt:
                    self.doubtful.add(name)
                self.wrong += wrong
        return self

    # --- in the child ---

    def _work(self, number, each, numbers, path):
        out, lock, end = open(path, "w"), threading.Lock(), time.monotonic() + self.limit
        threads = []
        for index in range(each):
            source = self.source.format(40 + (number * each + index) % 200)
            args = (numbers[index::each], source, out, lock, end)
            threads.append(threading.Thread(target=self._sender, args=args))
            threads[-1].start()
        for thread in threads:
            thread.join()
        out.close()

    def _sender(self, numbers, source, out, lock, end):
        session = None
        for number in numbers:
            time.sleep(self.pace)
            doubt, wrong, id = False, [], None
            while id is None and time.monotonic() < end:
                dot = False
                try:
                    if session is None:
                        session = Session(*self.address, source=source).ehlo()
                    session.send(f"MAIL FROM:<terri@proseware.com>\r\nRCPT TO:<{self.recipient}>\r\nDATA\r\n")
                    replies = [session.read().code for _ in range(3)]
                    if replies != [250, 250, 354]:
                        wrong.append(repr((replies, session.last)))
                        raise Gone
                    text = letter("terri@proseware.com", self.recipient, message_id=self.name(number))
                    text += "0123456789abcdef" * 4 + "\n"
                    text = (text + ("0123456789abcdef" * 4 + "\n") * ((self.size - len(text)) // 65)).replace("\n", "\r\n")
                    dot = True
                    session.send(text + ".\r\n")
                    reply = session.read()
                    dot = False
                    if reply.code != 250:
                        wrong.append(repr(reply))
                        raise Gone
                    id = reply.text.split("queued as ")[1].split()[0]
                except (Gone, OSError, AssertionError):
                    doubt = doubt or dot
                    session = None
                    time.sleep(0.05)
            with lock:
                out.write(json.dumps([self.name(number), id, doubt, wrong]) + "\n")
                out.flush()
        if session:
            session.close()
