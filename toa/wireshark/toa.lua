-- SPDX-License-Identifier: GPL-2.0
--
-- Shows the client's address that a FULLNAT load balancer put into a TCP header (TOA):
--
--   tshark -X lua_script:toa.lua -r FILE -Y toa -T fields -e toa.client
--   wireshark -X lua_script:toa.lua FILE        or put it into the folder of personal Lua plugins
--
-- Fields to filter by: toa.kind, toa.length, toa.port, toa.ipv4, toa.ipv6, toa.client ("address:port"),
-- and toa.malformed, toa.repeated, toa.bad_client for what toa.ko would not believe. The layouts are those
-- of toa_wire.h.

local toa = Proto("toa", "TCP Option Address")

local fields = toa.fields
fields.kind = ProtoField.uint8("toa.kind", "Kind")
fields.length = ProtoField.uint8("toa.length", "Length")
fields.port = ProtoField.uint16("toa.port", "Port")
fields.ipv4 = ProtoField.ipv4("toa.ipv4", "Address")
fields.ipv6 = ProtoField.ipv6("toa.ipv6", "Address")
fields.client = ProtoField.string("toa.client", "Client")

local experts = {
	malformed = ProtoExpert.new("toa.malformed", "TOA of a wrong length",
				    expert.group.MALFORMED, expert.severity.WARN),
	repeated = ProtoExpert.new("toa.repeated", "More than one TOA: only the first counts",
				   expert.group.PROTOCOL, expert.severity.WARN),
	bad_client = ProtoExpert.new("toa.bad_client", "An address that no client can have",
				     expert.group.PROTOCOL, expert.severity.WARN),
}
toa.experts = experts

local options_field = Field.new("tcp.options")

-- the length of an address for each (kind, length)
local layouts = {
	[200] = { [8] = 4 },
	[253] = { [20] = 16 },
	[254] = { [8] = 4, [20] = 16 },
}

local function is_bad_ipv4(range)
	local first = range(0, 1):uint()

	return first == 0 or first == 127 or first >= 224 and first <= 239 or range:uint() == 0xffffffff
end

-- ::, ::1, multicast; ::ffff:a.b.c.d as a.b.c.d
local function is_bad_ipv6(range)
	local bytes = range:bytes()

	if bytes:get_index(0) == 0xff then
		return true
	end
	for i = 0, 9 do
		if bytes:get_index(i) ~= 0 then
			return false
		end
	end
	if bytes:get_index(10) == 0xff and bytes:get_index(11) == 0xff then
		return is_bad_ipv4(range(12, 4))
	end
	for i = 10, 14 do
		if bytes:get_index(i) ~= 0 then
			return false
		end
	end
	return bytes:get_index(15) <= 1
end

-- One option; returns how the client is called, or nil
local function show(option, tree, address_length, is_repeated)
	local subtree = tree:add(toa, option, "TCP Option Address")
	local address, is_bad, client

	subtree:add(fields.kind, option(0, 1))
	subtree:add(fields.length, option(1, 1))
	if not address_length then
		subtree:add_proto_expert_info(experts.malformed)
		return nil
	end
	subtree:add(fields.port, option(2, 2))
	address = option(4, address_length)
	if address_length == 4 then
		subtree:add(fields.ipv4, address)
		client = string.format("%s:%u", address:ipv4(), option(2, 2):uint())
		is_bad = is_bad_ipv4(address)
	else
		subtree:add(fields.ipv6, address)
		client = string.format("[%s]:%u", address:ipv6(), option(2, 2):uint())
		is_bad = is_bad_ipv6(address)
	end
	subtree:add(fields.client, client)
	subtree:append_text(": " .. client)
	if is_bad then
		subtree:add_proto_expert_info(experts.bad_client)
	end
	if is_repeated then
		subtree:add_proto_expert_info(experts.repeated)
	end
	return client
end

-- The options of one TCP header; stops where their lengths stop making sense
local function walk(options, tree)
	local at, found = 0, nil

	while at < options:len() do
		local kind = options(at, 1):uint()
		local length = 1

		if kind == 0 then
			break
		end
		if kind ~= 1 then
			if at + 2 > options:len() then
				break
			end
			length = options(at + 1, 1):uint()
			if length < 2 or at + length > options:len() then
				break
			end
			if layouts[kind] then
				found = show(options(at, length), tree, layouts[kind][length],
					     found ~= nil) or found
			end
		end
		at = at + length
	end
	return found
end

function toa.dissector(_, pinfo, tree)
	for _, info in ipairs({ options_field() }) do
		local client = walk(info.range, tree)

		if client then
			pinfo.cols.info:append(" TOA=" .. client)
		end
	end
end

register_postdissector(toa)
