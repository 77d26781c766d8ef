// SPDX-License-Identifier: GPL-2.0-only
#include <Zydis/Zydis.h>

#include "disasm.h"

static ZyanStatus decoder_init(ZydisDecoder *d, unsigned int bits)
{
	switch (bits) {
	case 16:
		return ZydisDecoderInit(d, ZYDIS_MACHINE_MODE_LEGACY_16,
					ZYDIS_STACK_WIDTH_16);
	case 32:
		return ZydisDecoderInit(d, ZYDIS_MACHINE_MODE_LEGACY_32,
					ZYDIS_STACK_WIDTH_32);
	default:
		return ZydisDecoderInit(d, ZYDIS_MACHINE_MODE_LONG_64,
					ZYDIS_STACK_WIDTH_64);
	}
}

static ZyanStatus formatter_init(ZydisFormatter *f, enum disasm_syntax syntax)
{
	ZyanStatus ret = ZydisFormatterInit(f, syntax == DISASM_ATT ?
					    ZYDIS_FORMATTER_STYLE_ATT :
					    ZYDIS_FORMATTER_STYLE_INTEL);

	if (!ZYAN_SUCCESS(ret))
		return ret;
	/* 0x10 rather than 0x0000000000000010 */
	ZydisFormatterSetProperty(f, ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE,
				  ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(f, ZYDIS_FORMATTER_PROP_DISP_PADDING,
				  ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(f, ZYDIS_FORMATTER_PROP_IMM_PADDING,
				  ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(f, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE,
				  ZYAN_FALSE);
	return ret;
}

size_t disasm(char *buf, size_t size, enum disasm_syntax syntax,
	      unsigned int bits, u64 addr, const u8 *bytes, size_t nr_bytes)
{
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZydisFormatter formatter;
	ZydisDecoder decoder;

	buf[0] = '\0';
	if (!nr_bytes ||
	    !ZYAN_SUCCESS(decoder_init(&decoder, bits)) ||
	    !ZYAN_SUCCESS(formatter_init(&formatter, syntax)) ||
	    !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, nr_bytes,
						 &insn, ops)))
		return 0;
	if (ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &insn, ops,
							 insn.operand_count_visible,
							 buf, size, addr,
							 NULL)))
		return insn.length;
	buf[0] = '\0';
	return 0;
}
