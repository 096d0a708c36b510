"""Takes nearly all of a limit for itself, and needs pages of a large file all the time: of what is left not half can stay."""
import mmap, os, random, sys, time

if not os.path.exists(sys.argv[1]) or os.path.getsize(sys.argv[1]) < 256 << 20:
    with open(sys.argv[1], "wb") as file:
        for _ in range(256):
            file.write(b"\x07" * (1 << 20))
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
most, kept = int(sys.argv[2]) << 20, []
file = open(sys.argv[1], "rb")
os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
pages.madvise(mmap.MADV_RANDOM)


def held():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon:"))


while True:
    if held() + (1 << 18) < most:
        kept.append(bytes([1]) * (1 << 18))
    for _ in range(40):
        pages[random.randrange(len(pages))]
    time.sleep(0.02)
