"""Use cases of bookings: book, pay, cancel, promote from the waiting list, and the queries about them."""
