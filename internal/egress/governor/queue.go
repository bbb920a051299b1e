package governor

import "time"

// A waiter is a call that waits. Its fields are its host's, under its lock.
type waiter struct {
	// news has one place: a sign that something below has changed.
	news     chan struct{}
	deadline time.Time
	why      Why
	// slot or err is set when the wait is over, and settled with it.
	slot    Slot
	err     error
	settled bool

	line       *line
	prev, next *waiter
}

// tell wakes the one who waits.
func (w *waiter) tell() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// A line is the waiters of one group, first come first.
type line struct {
	group       int64
	first, last *waiter
	len         int
	// prev and next are the neighbours in the ring of lines.
	prev, next *line
}

// A queue holds lines that take turns: a group's next call comes when each
// other group that waits has had one.
type queue struct {
	lines map[int64]*line
	// turn is the line whose first comes next; nil: nobody waits.
	turn *line
	len  int
}

// of is how many of a group wait.
func (q *queue) of(group int64) int {
	if l := q.lines[group]; l != nil {
		return l.len
	}
	return 0
}

// push puts a waiter at the end of its group's line; a new line comes last.
func (q *queue) push(w *waiter, group int64) {
	l := q.lines[group]
	if l == nil {
		if q.lines == nil {
			q.lines = map[int64]*line{}
		}
		l = &line{group: group}
		q.lines[group] = l
		if q.turn == nil {
			l.prev, l.next = l, l
			q.turn = l
		} else {
			l.prev, l.next = q.turn.prev, q.turn
			l.prev.next, l.next.prev = l, l
		}
	}
	w.line, w.prev = l, l.last
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
	l.len++
	q.len++
}

// remove takes a waiter out, wherever it stands. An empty line goes too.
func (q *queue) remove(w *waiter) {
	l := w.line
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.line, w.prev, w.next = nil, nil, nil
	l.len--
	q.len--
	if l.len > 0 {
		return
	}
	delete(q.lines, l.group)
	if q.turn == l {
		q.turn = l.next
	}
	if l.next == l {
		q.turn = nil
		return
	}
	l.prev.next, l.next.prev = l.next, l.prev
}

// each calls do for each waiter; do may remove it.
func (q *queue) each(do func(*waiter)) {
	for _, l := range q.lines {
		for w := l.first; w != nil; {
			next := w.next
			do(w)
			w = next
		}
	}
}
