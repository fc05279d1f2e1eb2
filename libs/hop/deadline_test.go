package hop_test

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// move is a deadline that is set while somebody waits.
type move struct {
	pause time.Duration // since the move before
	to    time.Duration // from then on; none is no deadline, and 0 or less is one that has passed
}

const none = -1000 * time.Hour

func (m move) deadline() time.Time {
	if m.to == none {
		return time.Time{}
	}
	return time.Now().Add(m.to)
}

// endsAt is when the first deadline passes that was not moved before, if there is one.
func endsAt(moves []move) (after time.Duration, ends bool) {
	now, due := time.Duration(0), none
	for _, m := range moves {
		if due != none && due <= now+m.pause {
			return due, true
		}
		now += m.pause
		if due = m.to; due != none {
			due = now + max(m.to, 0)
		}
	}
	return due, due != none
}

// waits runs moves while wait waits, and returns for how long it did.
func waits(t *testing.T, moves []move, set func(net.Conn, time.Time) error, wait func(net.Conn) error) (after time.Duration, ended error) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t)
		began := time.Now()
		over := make(chan struct{})
		go func() {
			defer close(over)
			ended = wait(client)
			after = time.Since(began)
		}()
		synctest.Wait() // it waits
		for _, m := range moves {
			time.Sleep(m.pause)
			if err := set(client, m.deadline()); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		time.Sleep(time.Hour) // longer than any deadline here
		_ = server.Close()
		<-over
	})
	return after, ended
}

func read(c net.Conn) error { _, err := c.Read(make([]byte, 1)); return err }

func write(c net.Conn) error { _, err := c.Write(make([]byte, 1<<20)); return err }

// TestConn_ADeadlineThatMovesEndsAWaitWhenItPasses: not when it was moved away from, and not later.
func TestConn_ADeadlineThatMovesEndsAWaitWhenItPasses(t *testing.T) {
	for name, moves := range map[string][]move{
		"later":             {{0, time.Second}, {time.Second / 2, 5 * time.Second}},
		"later and again":   {{0, time.Second}, {time.Second / 2, 5 * time.Second}, {2 * time.Second, time.Minute}},
		"earlier":           {{0, time.Minute}, {time.Second, time.Second}},
		"earlier and back":  {{0, time.Minute}, {time.Second, time.Second}, {time.Second / 2, time.Minute}},
		"past":              {{0, time.Minute}, {time.Second, -time.Second}},
		"now":               {{0, time.Minute}, {time.Second, 0}},
		"cleared":           {{0, time.Second}, {time.Second / 2, none}},
		"cleared and set":   {{0, time.Second}, {time.Second / 2, none}, {time.Minute, time.Second}},
		"none, then a past": {{time.Second, -time.Hour}},
	} {
		holdToModel(t, name, moves)
	}
}

// TestConn_DeadlinesByTheModel moves them at random.
func TestConn_DeadlinesByTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		one := rapid.Custom(func(rt *rapid.T) move {
			to := time.Duration(rapid.IntRange(-2, 20).Draw(rt, "to"))*time.Second + 7*time.Millisecond // none at the moment of a move
			if rapid.IntRange(0, 4).Draw(rt, "clear") == 0 {
				to = none
			}
			return move{time.Duration(rapid.IntRange(0, 10).Draw(rt, "pause")) * time.Second, to}
		})
		moves := rapid.SliceOfN(one, 1, 8).Draw(rt, "moves")
		holdToModel(t, "drawn", moves)
		if t.Failed() {
			rt.Fatalf("%v", moves)
		}
	})
}

func holdToModel(t *testing.T, name string, moves []move) {
	t.Helper()
	want, ends := endsAt(moves)
	for way, side := range map[string]struct {
		set  func(net.Conn, time.Time) error
		wait func(net.Conn) error
	}{
		"read":  {net.Conn.SetReadDeadline, read},
		"write": {net.Conn.SetWriteDeadline, write},
	} {
		after, err := waits(t, moves, side.set, side.wait)
		if timedOut := errors.Is(err, os.ErrDeadlineExceeded); timedOut != ends || ends && after != want {
			t.Errorf("%s, %s: ended after %v with %v; deadline %t after %v", name, way, after, err, ends, want)
		}
	}
}
