package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloakroom.dev/libs/run"
)

// A second copy takes what is new: contents by their size, packs always, and holes stay holes.
func TestBackup_TakesWhatIsNew(t *testing.T) {
	data, into := t.TempDir(), t.TempDir()
	c := copying{data: data, into: into}
	write := func(name string, content []byte) {
		t.Helper()
		path := filepath.Join(data, "blobs/epoch/0", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	copied := func(want int) {
		t.Helper()
		n, err := c.tree(t.Context(), "blobs", false)
		if err != nil || n != want {
			t.Errorf("%d files copied, want %d, %v", n, want, err)
		}
		for _, name := range []string{"1", "2", packName} {
			have, _ := os.ReadFile(filepath.Join(into, "blobs/epoch/0", name))
			if now, err := os.ReadFile(filepath.Join(data, "blobs/epoch/0", name)); err == nil && !bytes.Equal(have, now) {
				t.Errorf("%s is not as it is", name)
			}
		}
	}
	holes := make([]byte, 8<<20)
	copy(holes[5<<20:], "in the middle")
	write("1", []byte("one"))
	write("2", bytes.Repeat([]byte("two"), 100_000))
	write(packName, holes)
	copied(3)
	copy(holes, "entry")
	write(packName, holes)
	copied(1)
	write("1", []byte("one, whole now"))
	copied(2)
	write("../../"+uploadsName+"/ABC", []byte("damaged on the way")) // a part whose checksum did not hold
	if _, err := c.tree(t.Context(), "blobs", false); err != nil {
		t.Error(err)
	}
	again := []byte("what was promised!") // as long, and acknowledged
	write("../../"+uploadsName+"/ABC", again)
	if _, err := c.tree(t.Context(), "blobs", false); err != nil {
		t.Error(err)
	}
	if have, err := os.ReadFile(filepath.Join(into, "blobs", uploadsName, "ABC")); !bytes.Equal(have, again) {
		t.Errorf("of an upload that was written over the backup has %q, %v", have, err)
	}
	var stat syscall.Stat_t
	if err := syscall.Stat(filepath.Join(into, "blobs/epoch/0", packName), &stat); err != nil || stat.Blocks*512 > 1<<20 {
		t.Errorf("the copy of a pack with holes takes %d blocks, %v", stat.Blocks, err)
	}
}

// A long backup says how far it is.
func TestBackup_SaysHowFarItIs(t *testing.T) {
	var c copying
	name := "blobs"
	c.now.Store(&name)
	c.looked.Store(3)
	read, write := io.Pipe()
	stop := c.tell(write, time.Millisecond)
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil || line != "copying blobs; 3 files looked at\n" {
		t.Errorf("%q, %v", line, err)
	}
	_ = read.Close() // or the next line would wait for a reader
	stop()
}

// Whoever names a wrong folder reads which flag to change, and finds no folder made for a backup that was none.
func TestBackup_SaysWhichFolderIsWrong(t *testing.T) {
	dir := t.TempDir()
	file, data := filepath.Join(dir, "file"), filepath.Join(dir, "data")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	served, err := openFolder(data, "DATA_DIR")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = served.close() }()
	for _, c := range []struct{ data, into, says string }{
		{data, filepath.Join(file, "copy"), "set --to to a folder you may write"},
		{data, data, "--to must lie outside DATA_DIR"},
		{data, filepath.Join(data, "copy", "of today"), "--to must lie outside DATA_DIR"},
		{filepath.Join(dir, "nowhere"), filepath.Join(dir, "copy"), "find the data folder"},
	} {
		err := backupCommand(t.Context(), []string{"--data", c.data, "--to", c.into}, run.IO{Stdout: io.Discard, Stderr: io.Discard})
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(c.into, data) && strings.Contains(err.Error(), "DATA_DIR") {
			t.Errorf("%s to %s: %v, want %q", c.data, c.into, err, c.says)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "copy")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder was made for nothing: %v", err)
	}
}
