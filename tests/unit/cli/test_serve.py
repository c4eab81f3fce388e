"""What `serve` makes of its options."""

from undiced.cli.serve import server_settings


def test_no_request_is_larger_than_the_queue():
    narrow = server_settings(max_queue=4, max_connections=100, drain_s=1.5)
    assert (narrow.max_choices, narrow.max_sequences) == (4, 4)
    assert (narrow.max_connections, narrow.drain_s) == (100, 1.5)
    usual = server_settings(max_queue=256, max_connections=2048, drain_s=30)
    assert (usual.max_choices, usual.max_sequences) == (16, 256)
