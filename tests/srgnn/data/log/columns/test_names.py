from srgnn.data.log.columns.names import find_alike, is_clean, shown


def test_odd_names_are_quoted():
    plain = ["item", "item_id.$oid", "größe", "a-b", "0", "@timestamp"]
    assert shown(*plain) == ", ".join(plain)
    assert shown("Item ID", "a,b", "", "item\u200b", "it's") == "'Item ID', 'a,b', '', 'item\\u200b', \"it's\""


def test_names_that_differ_in_signs_alone_are_alike():
    assert find_alike(["item_id"], ["time", "Item ID"]) == "Item ID"
    assert find_alike(["item_id"], ["items"]) is None


def test_spaces_around_a_name_are_not_clean():
    assert is_clean("Item ID")
    assert not is_clean(" item")
    assert not is_clean("item\u200b")
