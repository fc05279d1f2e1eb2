package run

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// pages are those of the machine's memory from one address to before another.
type pages struct{ from, to uintptr }

// giveBackProgram ends the mapping of the program's own pages. Starting up runs most of what a program has, once: inits, parsers,
// generators. The kernel maps 64 KiB around each place and keeps them all. What is needed from here on is mapped again where it is
// touched, from memory unless that was short meanwhile; the rest stays in the page cache as long as nobody needs the space, and is held
// by no process.
func giveBackProgram() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer f.Close()
	unchanged, err := unchangedPages(f, program)
	if err != nil {
		return err
	}
	for _, p := range unchanged {
		_ = p.advise(unix.MADV_NOHUGEPAGE) // 64 KiB it is, not 2 MiB; a kernel without huge pages refuses
		if err := p.advise(unix.MADV_DONTNEED); err != nil {
			return err
		}
	}
	return nil
}

func (p pages) advise(advice uintptr) error {
	if _, _, failed := unix.Syscall(unix.SYS_MADVISE, p.from, p.to-p.from, advice); failed != 0 {
		return failed
	}
	return nil
}

// unchangedPages reads from a process's smaps (proc_pid_smaps(5)) where it has the file mapped as the file is: the process can't write
// there, and nobody has, as a loader does that moves a program before it forbids writing. Such pages can be read from the file again.
// What smaps does not say so of is left alone: there are imitations of it that know less.
func unchangedPages(smaps io.Reader, file string) ([]pages, error) {
	var got []pages
	var here struct {
		pages
		ofFile, held, noneOwn, noneSwapped bool
	}
	end := func() {
		if here.ofFile && here.held && here.noneOwn && here.noneSwapped {
			got = append(got, here.pages)
		}
	}
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		// "00400000-01a4c000 r-xp 00001000 fe:00 9982   /the/file", then lines about it such as "Anonymous:     0 kB"
		var p pages
		var rights string
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s", &p.from, &p.to, &rights); n == 3 {
			end()
			here.pages, here.held, here.noneOwn, here.noneSwapped = p, false, false, false
			here.ofFile = (rights == "r-xp" || rights == "r--p") && strings.HasSuffix(lines.Text(), " "+file)
			continue
		}
		name, size, _ := strings.Cut(lines.Text(), ":")
		none := strings.TrimSpace(size) == "0 kB"
		switch name {
		case "Rss":
			here.held = !none
		case "Anonymous":
			here.noneOwn = none
		case "Swap":
			here.noneSwapped = none
		}
	}
	end()
	return got, lines.Err()
}
