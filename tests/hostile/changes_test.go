package hostile

import (
	"bytes"
	"fmt"
	"testing"
)

type changes struct {
	Items []struct {
		Kind   string `json:"kind"`
		FileID string `json:"file_id"`
	} `json:"items"`
	NextCursor string `json:"next_cursor"`
	More       bool   `json:"more"`
}

func TestChanges_OfAnotherPerson(t *testing.T) {
	c := gateway(t)
	ada, eve := c.SignUp(), c.Fresh().SignUp()
	var from, of changes
	eve.Do("GET", "/v1/files/changes", nil).Is(200).JSON(&from)
	ada.Do("GET", "/v1/files/changes", nil).Is(200).JSON(&of)
	f := ada.Upload("mine", []byte("x")).Is(201).File()
	if a := eve.Do("GET", "/v1/files/changes?cursor="+from.NextCursor, nil).Is(200); bytes.Contains(a.Body, []byte(f.ID)) {
		t.Errorf("eve hears of %s", a.Body)
	}
	eve.Do("GET", "/v1/files/changes?cursor="+of.NextCursor, nil).Refused(400, "VALIDATION_ERROR")
}

func TestChanges_NoneIsLostWhileManyWrite(t *testing.T) {
	const uploads = 40
	ada := gateway(t).SignUp()
	var page changes
	ada.Do("GET", "/v1/files/changes", nil).Is(200).JSON(&page)
	done := make(chan map[int]int)
	go func() {
		done <- parallel(uploads, func(i int) int { return ada.Upload(fmt.Sprint(i), []byte("x")).Status })
	}()
	seen := map[string]int{}
	for over := false; ; {
		select {
		case got := <-done:
			if got[201] != uploads {
				t.Fatalf("uploads answered %v", got)
			}
			over = true
		default:
		}
		cursor := page.NextCursor
		page = changes{}
		ada.Do("GET", "/v1/files/changes?limit=3&cursor="+cursor, nil).Is(200).JSON(&page)
		for _, item := range page.Items {
			seen[item.FileID]++
		}
		if over && !page.More {
			break
		}
	}
	if len(seen) != uploads {
		t.Errorf("heard of %d files, want %d", len(seen), uploads)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("heard of %s %d times", id, n)
		}
	}
}
