package run

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestUnchangedPages(t *testing.T) {
	const smaps = `00400000-01a4c000 r-xp 00001000 fe:00 9982                           /the program
Size:              22832 kB
Rss:               12 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
01a4c000-03330000 r--p 0164c000 fe:00 9982                               /the program
Size:              22832 kB
Rss:               12 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
03330000-03470000 rw-p 02f30000 fe:00 9982                               /the program
Size:              22832 kB
Rss:               12 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
03470000-03480000 r--p 02f30000 fe:00 9982                               /the program
Size:              22832 kB
Rss:               12 kB
Anonymous:             4 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
03480000-03490000 r--p 02f30000 fe:00 9982                               /the program
Size:              22832 kB
Rss:               12 kB
Anonymous:             0 kB
Swap:                  8 kB
VmFlags: rd ex mr mw me
03490000-034a0000 r--s 02f30000 fe:00 9982                               /the program
Size:              22832 kB
Rss:               12 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
034a0000-034b0000 r--p 02f30000 fe:00 9982                               /the program
Size:              22832 kB
Rss:               0 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
034b0000-034c0000 r--p 02f30000 fe:00 9982                               /the program
Size:              22832 kB
Rss:               12 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
034c0000-034d0000 r--p 02f30000 fe:00 9982                               /the program
Size:              22832 kB
Rss:               12 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
1be9cc00000-1be9e800000 rw-p 00000000 00:00 0 
Size:              22832 kB
Rss:               12 kB
Anonymous:             19720 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
7ff616e12000-7ff616f68000 r-xp 00026000 fe:00 326269                     /usr/lib/libc.so.6
Size:              22832 kB
Rss:               12 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
7ff616f68000-7ff616f69000 r--p 00026000 fe:00 326269                     /the program
Size:              22832 kB
Rss:               12 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
7ff616f69000-7ff616f6a000 r--p 00026000 fe:00 326269                     /the program
Rss:               4 kB
`
	got, err := unchangedPages(strings.NewReader(smaps), "/the program")
	if want := []pages{{0x400000, 0x1a4c000}, {0x1a4c000, 0x3330000}, {0x7ff616f68000, 0x7ff616f69000}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %x, %v", got, err)
	}
}

// Everything of the program is touched, and given back; what runs next is mapped again.
func TestGiveBackProgram(t *testing.T) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	touched := touch(t, program)
	before := resident(t)
	if before < touched {
		t.Fatalf("%d KiB of files are resident after %d KiB of the program were touched", before>>10, touched>>10)
	}
	if err := giveBackProgram(); err != nil {
		t.Fatal(err)
	}
	if after := resident(t); after > before-touched/3 {
		t.Errorf("%d KiB of files were resident before, %d KiB after", before>>10, after>>10)
	}
}

// touch reads the program where it is mapped, and returns how much there is.
func touch(t *testing.T, program string) int64 {
	t.Helper()
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer smaps.Close()
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	unchanged, err := unchangedPages(smaps, program)
	if err != nil || len(unchanged) == 0 {
		t.Fatalf("no page of the program is as its file is: %v", err)
	}
	var all int64
	for _, p := range unchanged {
		n, err := io.Copy(io.Discard, io.NewSectionReader(mem, int64(p.from), int64(p.to-p.from)))
		if err != nil {
			t.Fatal(err)
		}
		all += n
	}
	return all
}

// resident is how much of files the process has mapped and in memory, in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "RssFile:")
	var kib int64
	if _, err := fmt.Sscanf(after, "%d kB", &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
